//! Forgets tombstones: each one's vector goes into its shard's floor, from which a record made anew counts on. First the floor
//! rises; the tombstones go when everybody who decides knows it.

use std::collections::HashMap;
use std::time::Duration;

use holdfast_storage::Failure;
use tokio::time::sleep;
use tracing::debug;

use super::duty::{self, Duty};
use super::{Piece, REST};
use crate::domain::{Address, Epochs, Micros, ShardId, Vector};
use crate::store::Shelf as _;
use crate::store::postgres::{Store, sweep};

/// Tombstones in one round …
const ROUND: usize = 5_000;
/// … and in one transaction, for which nothing is decided about their shard.
const BATCH: usize = 200;

/// Forgets the oldest tombstones that were left before a horizon. `settles`: how long the floors that a process knows are
/// trusted, at most.
///
/// # Errors
/// Some may be forgotten.
pub async fn forget_tombstones(store: &Store, horizon: Micros, settles: Duration) -> Result<Piece, Failure> {
    let found = store.tombstones(horizon, ROUND).await?;
    let is_all = found.len() < ROUND;
    if found.is_empty() || !is_taken(store, if is_all { REST + settles } else { settles }).await? {
        return Ok(Piece::NotNow);
    }
    let epochs = store.deciding().await?.epochs;
    let floors = raise_floors(store, &epochs, &found).await?;
    sleep(settles).await;
    let mut dropped = 0;
    for (shard, own) in sweep::by_shard(&found) {
        let Some(floor) = floors.get(&shard) else { continue };
        for batch in own.chunks(BATCH) {
            dropped += drop_tombstones(store, shard, (&epochs, floor), batch).await?;
        }
    }
    debug!(dropped, "tombstones are forgotten");
    Ok(if is_all { Piece::Done(dropped) } else { Piece::More(dropped) })
}

/// The others leave it to this process until it must be done.
async fn is_taken(store: &Store, until: Duration) -> Result<bool, Failure> {
    let mut tx = store.database.duties().begin().await?;
    let taken = duty::take(&mut tx, Duty::Tombstones).await?.is_some();
    if taken {
        duty::rest(&mut tx, Duty::Tombstones, until).await?;
    }
    tx.commit().await?;
    Ok(taken)
}

async fn raise_floors(store: &Store, epochs: &Epochs, found: &[Address]) -> Result<HashMap<ShardId, Vector>, Failure> {
    let mut floors = HashMap::new();
    for (shard, own) in sweep::by_shard(found) {
        for batch in own.chunks(BATCH) {
            let mut tx = store.database.duties().begin().await?;
            let floor = sweep::raise_floor(&mut tx, shard, epochs, batch).await?;
            tx.commit().await?;
            floors.extend(floor.map(|floor| (shard, floor)));
        }
    }
    Ok(floors)
}

async fn drop_tombstones(
    store: &Store,
    shard: ShardId,
    (epochs, floor): (&Epochs, &Vector),
    own: &[Address],
) -> Result<usize, Failure> {
    let mut tx = store.database.duties().begin().await?;
    let dropped = sweep::drop_tombstones(&mut tx, shard, epochs, floor, own).await?;
    tx.commit().await?;
    Ok(dropped)
}
