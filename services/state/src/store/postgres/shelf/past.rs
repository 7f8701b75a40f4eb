//! What records were: histories, trails, changes.

use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::with_columns;
use crate::domain::{Address, Edition, Seq, Trail, TrailEnd, Vector};
use crate::store::postgres::rows::{self, signed};
use crate::store::{Changes, ChangesQuery, HistoryQuery, TrailQuery};

pub(in crate::store::postgres) static TRAIL: LazyLock<String> =
    LazyLock::new(|| with_columns(include_str!("trail.sql")));
pub(in crate::store::postgres) static HISTORY: LazyLock<String> =
    LazyLock::new(|| with_columns(include_str!("history.sql")));
pub(in crate::store::postgres) static EDITION_AT: LazyLock<String> =
    LazyLock::new(|| with_columns(include_str!("edition_at.sql")));
pub(in crate::store::postgres) static CHANGES: LazyLock<String> =
    LazyLock::new(|| with_columns(include_str!("changes.sql")));

pub(in crate::store::postgres) async fn trail(pool: &PgPool, query: TrailQuery) -> sqlx::Result<Trail> {
    let until = query.until.as_ref().map(Vector::to_bytes);
    // One more than asked for tells where the walk ends.
    let found = sqlx::query(AssertSqlSafe(TRAIL.as_str()))
        .bind(rows::shard_number(query.shard))
        .bind(signed(query.from))
        .bind(until.as_deref())
        .bind(rows::count(query.most.saturating_add(1)))
        .fetch_all(pool)
        .await?;
    let mut notes = Vec::with_capacity(found.len());
    let mut next = query.from;
    for row in &found {
        let note = rows::note(row, 1)?;
        if query.until.as_ref() == Some(&note.vector) && notes.len() < query.most {
            return Ok(Trail { notes, end: TrailEnd::Presented });
        }
        if notes.len() == query.most {
            return Ok(Trail { notes, end: TrailEnd::Cut });
        }
        notes.push(note);
        next = rows::number(row, 0)?;
    }
    let end = if next == 0 { TrailEnd::Beginning } else { TrailEnd::Cut };
    Ok(Trail { notes, end })
}

pub(in crate::store::postgres) async fn history(pool: &PgPool, query: HistoryQuery) -> sqlx::Result<Vec<Edition>> {
    let at = &query.address;
    let found = sqlx::query(AssertSqlSafe(HISTORY.as_str()))
        .bind(at.tenant())
        .bind(at.namespace())
        .bind(at.partition())
        .bind(at.key())
        .bind(query.before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX)))
        .bind(rows::count(query.editions))
        .bind(rows::count(query.bytes))
        .fetch_all(pool)
        .await?;
    found.iter().map(|row| rows::edition(row, 0)).collect()
}

pub(in crate::store::postgres) async fn edition_at(
    pool: &PgPool,
    at: Address,
    vector: Vector,
) -> sqlx::Result<Option<Edition>> {
    let found = sqlx::query(AssertSqlSafe(EDITION_AT.as_str()))
        .bind(at.tenant())
        .bind(at.namespace())
        .bind(at.partition())
        .bind(at.key())
        .bind(vector.to_bytes())
        .fetch_optional(pool)
        .await?;
    found.map(|row| rows::edition(&row, 0)).transpose()
}

pub(in crate::store::postgres) async fn changes(pool: &PgPool, query: ChangesQuery) -> sqlx::Result<Changes> {
    let at = &query.partition;
    let rows_max = if query.after.is_some() { rows::count(query.rows) } else { 0 };
    let found = sqlx::query(AssertSqlSafe(CHANGES.as_str()))
        .bind(rows::shard_number(at.shard()))
        .bind(at.tenant())
        .bind(at.namespace())
        .bind(at.name())
        .bind(signed(query.after.unwrap_or(0)))
        .bind(rows_max)
        .bind(rows::count(query.bytes))
        .fetch_all(pool)
        .await?;
    let Some(first) = found.first() else { return Ok(Changes::Cut) };
    let (position, swept) = (rows::number(first, 0)?, rows::number(first, 1)?);
    let Some(after) = query.after else {
        return Ok(Changes::Here { changes: Vec::new(), until: position, more: false, flushes: position });
    };
    if after < swept {
        return Ok(Changes::Cut);
    }
    let until = until(first, position, after)?;
    let mut changes = Vec::with_capacity(found.len());
    for row in &found {
        if let Some(key) = row.try_get::<Option<&str>, _>(4)? {
            changes.push((at.record(key), Arc::new(rows::edition(row, 5)?)));
        }
    }
    Ok(Changes::Here { changes, until, more: until < position, flushes: position })
}

/// How far was looked: to the last row that fits, or to the end where all did.
fn until(row: &sqlx::postgres::PgRow, position: Seq, after: Seq) -> sqlx::Result<Seq> {
    match row.try_get::<bool, _>(3)? {
        true => Ok(position.max(after)),
        false => Ok(row.try_get::<Option<i64>, _>(2)?.map_or(after, i64::cast_unsigned)),
    }
}
