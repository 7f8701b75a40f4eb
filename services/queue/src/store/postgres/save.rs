//! What a batch leaves, stored by one statement: a part for each table that changes, and none for those that do not.
//!
//! Each row is in at most one part, as its last command left it; so the order in which the server runs the parts does not
//! matter, but for one: the part whose rows are counted runs first, because the answer asks for their number. So rows that
//! were not read are locked before their ends are inserted, as they are by whoever reads them.
//!
//! Columns come as arrays and are unnested side by side in a select list. (As arguments of one `FROM unnest(…)` each of them
//! would be stored and read again, which takes almost three times as long.)
//!
//! They are matched with rows by `= ANY (ARRAY[…])` on an index's first column, here and in what is read. By `=` the two could
//! be merged in order, so that for a table believed to be empty, as one is that had nothing in it when it was last vacuumed,
//! the server plans to walk over all of it, and does so until it is vacuumed again, however much has come in. For the same
//! reason a subquery that reads one row says whether something is in a table that grows, and not EXISTS.

mod beside;
mod ends;
mod live;
mod statement;

use holdfast_storage::{Failure, Trouble, Witness};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, Row};

#[cfg(test)]
pub(super) use self::live::DELETE_REMEMBERED;
use self::statement::Statement;
use super::rows::unreadable;
use super::set::{Set, Told};

/// What stores what has changed, which answers with a row for [`transaction`]; none where nothing has to be stored.
///
/// It divides by zero where others have changed what this process remembers, or took it for dead.
pub(super) fn statement(set: &Set, witness: Witness) -> Result<Option<(String, PgArguments)>, Failure> {
    let mut statement = Statement::default();
    live::entries(&mut statement, set);
    live::sessions(&mut statement, set);
    ends::invocations(&mut statement, &set.news)?;
    ends::ended(&mut statement, set);
    ends::used(&mut statement, set);
    ends::tries(&mut statement, &set.news);
    ends::past(&mut statement, &set.news);
    beside::store(&mut statement, &set.news);
    // Keys are inserted while loading, each for an invocation that is stored here, or was before.
    Ok(statement.finish(set.counters.writer, witness))
}

/// The number of the transaction that stored it.
pub(super) fn transaction(row: &PgRow) -> sqlx::Result<u64> {
    row.try_get::<String, _>(0)?.parse().map_err(unreadable)
}

/// Stores what has changed. Answers with the transaction's number; none when nothing had to be stored.
pub(super) async fn save(tx: &mut PgConnection, set: &Set, witness: Witness) -> Result<Option<u64>, Trouble> {
    let Some((sql, arguments)) = statement(set, witness)? else { return Ok(None) };
    let row = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_one(&mut *tx).await?;
    clear(tx, &set.news.told).await?;
    Ok(Some(transaction(&row)?))
}

/// Clears reports that are too old or too large, of those that were told of just now.
async fn clear(tx: &mut PgConnection, told: &[Told]) -> Result<(), Trouble> {
    let mut full: Vec<_> = told.iter().filter_map(|told| Some((told.id, told.clear?))).collect();
    full.sort_by_key(|(id, _)| *id);
    full.dedup_by_key(|(id, _)| *id);
    if full.is_empty() {
        return Ok(());
    }
    let (ids, keeps): (Vec<_>, Vec<_>) = full.into_iter().unzip();
    let items: Vec<i64> = keeps.iter().map(|keep| keep.items as i64).collect();
    let bytes: Vec<i64> = keeps.iter().map(|keep| keep.bytes as i64).collect();
    sqlx::query(include_str!("clear_reports.sql")).bind(ids).bind(items).bind(bytes).execute(&mut *tx).await?;
    Ok(())
}
