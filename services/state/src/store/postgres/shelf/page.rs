//! Pages of partitions.

use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::with_columns;
use crate::store::postgres::rows;
use crate::store::{Page, PageQuery};

pub(in crate::store::postgres) static PAGE: LazyLock<String> = LazyLock::new(|| with_columns(include_str!("page.sql")));

/// The highest character: no key that is at most 512 bytes long is behind 129 of them.
const HIGHEST: char = char::MAX;
const BEHIND_ALL: usize = 129;

pub(in crate::store::postgres) async fn page(pool: &PgPool, query: PageQuery) -> sqlx::Result<Page> {
    let at = &query.partition;
    let found = sqlx::query(AssertSqlSafe(PAGE.as_str()))
        .bind(rows::shard_number(at.shard()))
        .bind(at.tenant())
        .bind(at.namespace())
        .bind(at.name())
        .bind(&query.after)
        .bind(&query.prefix)
        .bind(behind(&query.prefix))
        .bind(rows::count(query.records))
        .bind(rows::count(query.bytes))
        .fetch_all(pool)
        .await?;
    let mut page = Page::default();
    for row in &found {
        page.flushes = rows::number(row, 0)?;
        let Some(key) = row.try_get::<Option<&str>, _>(1)? else { break };
        if !row.try_get::<bool, _>(2)? {
            page.more = true;
            break;
        }
        page.records.push((at.record(key), Arc::new(rows::edition(row, 3)?)));
    }
    Ok(page)
}

/// The first text behind all that begin with a prefix.
fn behind(prefix: &str) -> String {
    let mut bound = prefix.to_owned();
    while let Some(last) = bound.pop() {
        // The next character; ranges know which numbers are none.
        if let Some(next) = (last..=HIGHEST).nth(1) {
            bound.push(next);
            return bound;
        }
    }
    HIGHEST.to_string().repeat(BEHIND_ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_prefix_is_before_its_bound_and_nothing_else_is() {
        for (prefix, bound) in [("a/", "a0"), ("a\u{10FFFF}", "b"), ("\u{D7FF}", "\u{E000}"), ("\u{7f}", "\u{80}")] {
            assert_eq!(behind(prefix), bound);
            assert!(format!("{prefix}\u{10FFFF}").as_str() < bound);
        }
        let longest = HIGHEST.to_string().repeat(128);
        assert!(longest < behind("") && longest.len() == 512);
    }
}
