//! The rows of shards: the locks under which everything is decided, and what stands in them.

use holdfast_storage::Trouble;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::{Decides, Lock, ShardRow};
use crate::domain::{EpochId, Seq, ShardId, Vector};
use crate::store::Bound;
use crate::store::postgres::rows;

pub(in crate::store::postgres) const WAIT: &str = include_str!("lock_shards.sql");
pub(in crate::store::postgres) const SKIP: &str = concat!(include_str!("lock_shards.sql"), " SKIP LOCKED");
pub(in crate::store::postgres) const READ: &str = include_str!("read_shards.sql");

/// Locks shards until the end of the transaction, in their order, whatever order they are named in. The answer, in the same
/// order, is as of the moment when the lock was got.
///
/// # Errors
/// What the database says; with [`Lock::Wait`] also that the wait took too long.
pub async fn lock_shards(tx: &mut PgConnection, shards: &[ShardId], lock: Lock) -> Result<Vec<ShardRow>, Trouble> {
    read(tx, if lock == Lock::Skip { SKIP } else { WAIT }, shards).await
}

/// How shards stand, without a lock: what it says may be over already.
///
/// # Errors
/// What the database says.
pub async fn read_shards(connection: &mut PgConnection, shards: &[ShardId]) -> Result<Vec<ShardRow>, Trouble> {
    read(connection, READ, shards).await
}

async fn read(connection: &mut PgConnection, sql: &'static str, shards: &[ShardId]) -> Result<Vec<ShardRow>, Trouble> {
    let wanted: Vec<i32> = shards.iter().copied().map(rows::shard_number).collect();
    let found = sqlx::query(sql).bind(wanted).fetch_all(connection).await?;
    Ok(found.iter().map(shard_row).collect::<sqlx::Result<_>>()?)
}

fn shard_row(row: &PgRow) -> sqlx::Result<ShardRow> {
    let dirty = match row.try_get(6)? {
        true => Some(Bound { writes: rows::number(row, 7)?, bytes: rows::number(row, 8)? }),
        false => None,
    };
    Ok(ShardRow {
        shard: rows::shard(row, 0)?,
        epoch: EpochId(rows::number(row, 1)?),
        who: match row.try_get::<&str, _>(2)? {
            "redis" => Decides::Redis,
            _ => Decides::Postgres,
        },
        folds: rows::number(row, 3)?,
        position: rows::number(row, 4)?,
        floor: rows::floor(row, 5)?,
        dirty,
        same_server: row.try_get(9)?,
    })
}

/// Marks a shard dirty by a bound, or clean again, where this epoch still counts. Returns the place up to which the shard is
/// stored as of this mark; `None`: it is another epoch. Durable with the caller's commit, and not before.
///
/// # Errors
/// What the database says.
pub async fn mark(
    connection: &mut PgConnection,
    shard: ShardId,
    epoch: EpochId,
    dirty: Option<Bound>,
) -> Result<Option<Seq>, Trouble> {
    let bound = dirty.unwrap_or(Bound { writes: 0, bytes: 0 });
    let marked: Option<i64> = sqlx::query_scalar(include_str!("mark.sql"))
        .bind(rows::shard_number(shard))
        .bind(rows::signed(epoch.0))
        .bind(dirty.is_some())
        .bind(rows::signed(bound.writes))
        .bind(rows::signed(bound.bytes))
        .fetch_optional(connection)
        .await?;
    Ok(marked.map(i64::cast_unsigned))
}

/// Sets the version of every record of the shard that is not there. The row must be locked, and the floor be ahead of the one
/// read from it.
///
/// # Errors
/// What the database says.
pub async fn set_floor(tx: &mut PgConnection, shard: ShardId, floor: &Vector) -> Result<(), Trouble> {
    sqlx::query("UPDATE shards SET floor = $2 WHERE shard = $1")
        .bind(rows::shard_number(shard))
        .bind(floor.to_bytes())
        .execute(&mut *tx)
        .await?;
    // Others who know floors read them again.
    sqlx::query("UPDATE deciders SET knowledge = knowledge + 1 WHERE only_row = 1").execute(tx).await?;
    Ok(())
}
