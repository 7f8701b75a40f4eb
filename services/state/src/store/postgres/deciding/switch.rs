//! The end of an epoch and the beginning of the next.

use std::time::Duration;

use holdfast_storage::Trouble;
use sqlx::{Connection as _, PgConnection};

use super::{Deciding, Who, read};
use crate::domain::{Ended, EpochId, Micros, ShardId};
use crate::store::postgres::rows;
use crate::store::postgres::tables::{Decides, Lock, lock_shards};
use crate::store::{Bound, LostEpoch};

/// What a change of the decider came to.
#[derive(Debug, Clone)]
pub struct Switched {
    /// Who decides now.
    pub deciding: Deciding,
    /// Whether it was this call that changed it; else somebody was faster.
    pub ours: bool,
    /// The epoch that this call ended with loss.
    pub lost: Option<LostEpoch>,
}

/// Says that an epoch is about to end: nobody renews what he knows of it. Returns whether it still is the current one.
///
/// # Errors
/// What the database says.
pub async fn begin_draining(connection: &mut PgConnection, seen: EpochId) -> Result<bool, Trouble> {
    let drained = sqlx::query("UPDATE deciders SET draining = true WHERE only_row = 1 AND epoch = $1")
        .bind(rows::signed(seen.0))
        .execute(connection)
        .await?;
    Ok(drained.rows_affected() > 0)
}

/// Says how long somebody is going to believe in an epoch after a look at it, so that whoever ends it waits as long. Returns
/// whether it may be believed at all: not where it is on its end already, for its wait has begun.
///
/// # Errors
/// What the database says.
pub async fn raise_lease(connection: &mut PgConnection, seen: EpochId, lease: Duration) -> Result<bool, Trouble> {
    let raise =
        "UPDATE deciders SET lease_ms = greatest(lease_ms, $2) WHERE only_row = 1 AND epoch = $1 AND NOT draining";
    let raised = sqlx::query(raise)
        .bind(rows::signed(seen.0))
        .bind(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
    Ok(raised.rows_affected() > 0)
}

/// Ends an epoch and begins another (whose id the caller drew, for a Redis is opened for it first), in one transaction with all shards' rows: whoever decides or flushes afterwards by the
/// old knowledge finds that it is over. `lost`: acknowledged writes of the old one may be gone, as also where a shard is dirty; else it is folded. The caller
/// sees to it that nobody decides any more by what he knew (for a Redis: that every lease has run out).
///
/// # Errors
/// What the database says; nothing is changed then, unless the connection was lost in the middle of the commit.
pub async fn switch(
    connection: &mut PgConnection,
    from: EpochId,
    to: (EpochId, &Who),
    lost: bool,
    now: Micros,
) -> Result<Switched, Trouble> {
    let mut tx = connection.begin().await?;
    let shards: Vec<_> = ShardId::all().collect();
    let rows = lock_shards(&mut tx, &shards, Lock::Wait).await?;
    let current = sqlx::query_scalar::<_, i64>("SELECT epoch FROM deciders WHERE only_row = 1 FOR UPDATE");
    if EpochId(current.fetch_one(&mut *tx).await?.cast_unsigned()) != from {
        tx.rollback().await?;
        return Ok(Switched { deciding: read(connection).await?, ours: false, lost: None });
    }
    let dirty: Vec<_> = rows.iter().filter_map(|row| Some((row.shard, row.dirty?))).collect();
    let lost = lost || !dirty.is_empty();
    begin(&mut tx, from, to, lost, now).await?;
    let deciding = read(&mut tx).await?;
    tx.commit().await?;
    let lost = lost.then(|| LostEpoch {
        ended: Ended { epoch: from, at: now },
        shards: dirty.iter().map(|(shard, _)| *shard).collect(),
        // Each shard has a window of its own.
        bound: dirty.iter().fold(Bound { writes: 0, bytes: 0 }, |sum, (_, bound)| Bound {
            writes: sum.writes + bound.writes,
            bytes: sum.bytes + bound.bytes,
        }),
    });
    Ok(Switched { deciding, ours: true, lost })
}

/// The rows of it, under the locks of all shards.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    from: EpochId,
    (next, to): (EpochId, &Who),
    lost: bool,
    now: Micros,
) -> sqlx::Result<()> {
    sqlx::query(include_str!("end.sql"))
        .bind(rows::signed(from.0))
        .bind(if lost { "lost" } else { "folded" })
        .bind(now)
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO epochs (epoch, state, begun) VALUES ($1, 'current', $2)")
        .bind(rows::signed(next.0))
        .bind(now)
        .execute(&mut *tx)
        .await?;
    let (who, place) = match to {
        Who::Postgres => (Decides::Postgres, None),
        Who::Redis { identity } => (Decides::Redis, Some(identity.0.as_str())),
    };
    sqlx::query(include_str!("begin.sql"))
        .bind(rows::signed(next.0))
        .bind(who.name())
        .bind(place)
        .execute(&mut *tx)
        .await?;
    sqlx::query(include_str!("begin_shards.sql")).execute(tx).await?;
    Ok(())
}
