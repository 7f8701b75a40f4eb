//! Days. What grows with time stands in a partition for each day of acceptance, made some days ahead; what has none (a
//! clock that jumped) stands in the rest, so nothing depends on their being made in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::list::first_id;
use crate::domain::time::Micros;

/// What is partitioned.
pub(super) const TABLES: [&str; 6] = ["invocations", "labels", "ended", "past_ends", "tries", "reports"];
/// Days made ahead.
const AHEAD: i64 = 3;
pub(super) const DAY: Micros = 86_400_000_000;
/// One process at a time makes and drops partitions: a lock of a transaction, for a session's would break under a pooler.
pub(super) const LOCK: i64 = 0x484f_4c44_4641_5354;

/// The day that it is, counted from 1970.
pub(super) fn today() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX) / DAY
}

/// Makes the partitions of today and of some days ahead, where they are missing. Each waits for whoever reads its table's
/// rest (a dump, for instance), and everybody waits behind it: rather another time than long, also at a start.
pub(super) async fn make_ahead(pool: &PgPool) -> sqlx::Result<()> {
    let first = today();
    let missing: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NULL")
        .bind(name("invocations", first + AHEAD))
        .fetch_one(pool)
        .await?;
    if !missing {
        return Ok(());
    }
    for day in first..=first + AHEAD {
        let mut tx = pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1), set_config('lock_timeout', '200ms', true)")
            .bind(LOCK)
            .execute(&mut *tx)
            .await?;
        match make_day(&mut tx, day).await {
            Ok(()) => tx.commit().await?,
            Err(error) => {
                tracing::info!(day, %error, "the partitions of a day could not be made now");
                return tx.rollback().await;
            }
        }
    }
    Ok(())
}

async fn make_day(tx: &mut PgConnection, day: i64) -> sqlx::Result<()> {
    for table in TABLES {
        make(tx, table, day).await?;
    }
    Ok(())
}

/// Rows of that day that stand in the rest already would have to move; the day stays with the rest then.
pub(super) async fn make(tx: &mut PgConnection, table: &str, day: i64) -> Result<(), sqlx::Error> {
    let (from, until) = (first_id(day * DAY), first_id((day + 1) * DAY));
    let partition = name(table, day);
    let sql = format!(
        "DO $$ BEGIN
            IF to_regclass('{partition}') IS NULL
                AND NOT EXISTS (SELECT FROM {table}_rest WHERE id >= '{from}' AND id < '{until}')
            THEN
                CREATE TABLE {partition} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{until}');
            END IF;
        END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(tx).await?;
    Ok(())
}

/// The name of a day's partition.
pub(super) fn name(table: &str, day: i64) -> String {
    format!("{table}_day_{day}")
}
