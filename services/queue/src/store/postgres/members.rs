//! Queue processes: who is there, what they leave each other, what they kept.

use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_storage::Failure;
use sqlx::{AssertSqlSafe, PgPool, Row};

use super::super::{KeptLease, Member, Note, WriterId};
use super::rows;

/// A new process.
pub(super) async fn register(pool: &PgPool) -> Result<WriterId, Failure> {
    let added = sqlx::query_scalar("INSERT INTO processes DEFAULT VALUES RETURNING writer").fetch_one(pool).await;
    added.map_err(Failure::from)
}

/// Shows that this process lives; all that are there. One that was buried while it was paused is there again.
pub(super) async fn beat(pool: &PgPool, own: Member, forgotten: &AtomicBool) -> sqlx::Result<Vec<Member>> {
    let show = async |statement: &'static str| {
        let shown = sqlx::query(statement).bind(own.writer).bind(own.beat).bind(own.drain_rate).bind(own.last_rank);
        Ok::<_, sqlx::Error>(shown.execute(pool).await?.rows_affected())
    };
    if show(include_str!("beat.sql")).await? == 0 {
        forgotten.store(true, Ordering::Relaxed);
        show(include_str!("beat_again.sql")).await?;
    }
    let found = sqlx::query(
        "SELECT writer, beat, drain_rate, last_rank, is_leaving FROM processes WHERE NOT is_buried ORDER BY writer",
    )
    .fetch_all(pool)
    .await?;
    found
        .iter()
        .map(|row| {
            Ok(Member {
                writer: row.try_get(0)?,
                beat: row.try_get(1)?,
                drain_rate: row.try_get(2)?,
                last_rank: row.try_get(3)?,
                left: row.try_get(4)?,
            })
        })
        .collect()
}

/// Takes what was noted for a process, oldest first.
pub(super) async fn notes(pool: &PgPool, writer: WriterId, limit: usize) -> sqlx::Result<Vec<Note>> {
    let found = sqlx::query(include_str!("take_notes.sql")).bind(writer).bind(limit as i64).fetch_all(pool).await?;
    found
        .iter()
        .map(|row| {
            let id = row.try_get(1)?;
            Ok(match row.try_get(2)? {
                Some(lease) => Note::LeaseOver { id, lease, reason: row.try_get(3)? },
                None => Note::Ended(id),
            })
        })
        .collect()
}

/// The leases that a process kept. It reads all that has not ended: a process seldom dies, and an index on what every
/// lease changes would cost each of them.
pub(super) async fn leases_of(pool: &PgPool, writer: WriterId, limit: usize) -> sqlx::Result<Vec<KeptLease>> {
    let sql = format!("SELECT {} FROM live WHERE keeper = $1 LIMIT $2", rows::LIVE);
    let found = sqlx::query(AssertSqlSafe(sql)).bind(writer).bind(limit as i64).fetch_all(pool).await?;
    let mut kept = Vec::with_capacity(found.len());
    for row in &found {
        kept.extend(rows::kept(&rows::live(row, 0)?));
    }
    Ok(kept)
}

/// This process ends: it is forgotten, or, where it still keeps leases, says that it has left them.
pub(super) async fn leave(pool: &PgPool, writer: WriterId) -> sqlx::Result<()> {
    sqlx::query("UPDATE processes SET is_leaving = true WHERE writer = $1").bind(writer).execute(pool).await?;
    bury(pool, writer).await
}

/// Forgets a process that keeps no lease. The row's lock waits for a transaction of its that is still open (each locks it
/// too), and the lease that this one may grant is seen by the statement after.
pub(super) async fn bury(pool: &PgPool, writer: WriterId) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT FROM processes WHERE writer = $1 FOR UPDATE").bind(writer).execute(&mut *tx).await?;
    let buried = sqlx::query(include_str!("bury.sql")).bind(writer).execute(&mut *tx).await?.rows_affected();
    if buried > 0 {
        sqlx::query("DELETE FROM notes WHERE writer = $1").bind(writer).execute(&mut *tx).await?;
        // What it made ready is found by its number: it stays until that is gone.
        sqlx::query(include_str!("forget_buried.sql")).execute(&mut *tx).await?;
    }
    tx.commit().await
}
