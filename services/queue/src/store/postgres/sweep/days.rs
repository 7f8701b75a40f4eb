//! Whole days.

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use uuid::Uuid;

use super::super::list::first_id;
use super::super::partitions::{DAY, LOCK, TABLES, name, today};
use crate::domain::time::Micros;

/// Days that are looked at: what is older stands in the rest.
const DAYS_BACK: i64 = 400;
/// What does not go with its day is moved aside, if it is no more than this.
const STRAGGLERS_MAX: i64 = 10_000;

/// Drops the days that are over and whose invocations have all ended before a time, but for some, which are moved aside
/// into the rest. How many invocations went.
pub(super) async fn drop_old(pool: &PgPool, before: Micros) -> sqlx::Result<u64> {
    let last = (before / DAY).min(today()) - 1;
    let days: Vec<i64> =
        sqlx::query_scalar(include_str!("../old_days.sql")).bind(last - DAYS_BACK).bind(last).fetch_all(pool).await?;
    let mut gone = 0;
    for day in days {
        gone += drop_day(pool, day, before).await?;
    }
    Ok(gone)
}

async fn drop_day(pool: &PgPool, day: i64, before: Micros) -> sqlx::Result<u64> {
    let (from, until) = (first_id(day * DAY), first_id((day + 1) * DAY));
    let row = sqlx::query(include_str!("../count_day.sql"))
        .bind(from)
        .bind(until)
        .bind(before)
        .bind(STRAGGLERS_MAX)
        .fetch_one(pool)
        .await?;
    let (old, stragglers): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if stragglers >= STRAGGLERS_MAX || stragglers > old {
        return Ok(0);
    }
    let mut tx = pool.begin().await?;
    // Whoever reads or writes waits behind this: rather another time than long.
    sqlx::query("SELECT set_config('lock_timeout', '200ms', true), pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *tx)
        .await?;
    match take_down(&mut tx, day, (from, until), before).await {
        Ok(()) => {
            tx.commit().await?;
            tracing::info!(day, old, stragglers, "the partitions of an old day were dropped");
            Ok(old.unsigned_abs())
        }
        Err(error) => {
            tracing::info!(day, %error, "the partitions of an old day could not be dropped now");
            tx.rollback().await?;
            Ok(0)
        }
    }
}

/// Nobody can redrive or end anything of the day from the moment on that it is detached; who stays is read after that.
async fn take_down(tx: &mut PgConnection, day: i64, (from, until): (Uuid, Uuid), before: Micros) -> sqlx::Result<()> {
    for table in TABLES {
        let sql = format!("ALTER TABLE {table} DETACH PARTITION {}", name(table, day));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await?;
    }
    let ended = name("ended", day);
    // Everybody waits for this: who stays is looked for once, for all tables.
    let staying =
        format!("SELECT id FROM live WHERE id >= $1 AND id < $2 UNION ALL SELECT id FROM {ended} WHERE at >= $3");
    let staying: Vec<Uuid> =
        sqlx::query_scalar(AssertSqlSafe(staying)).bind(from).bind(until).bind(before).fetch_all(&mut *tx).await?;
    for table in TABLES.into_iter().filter(|_| !staying.is_empty()) {
        let sql = format!("INSERT INTO {table} SELECT * FROM {} WHERE id = ANY ($1)", name(table, day));
        sqlx::query(AssertSqlSafe(sql)).bind(&staying).execute(&mut *tx).await?;
    }
    for table in TABLES {
        sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {}", name(table, day)))).execute(&mut *tx).await?;
    }
    Ok(())
}
