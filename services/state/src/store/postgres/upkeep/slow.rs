//! What goes by age: the history, fences, epochs.

use std::time::Duration;

use holdfast_storage::Failure;
use tokio::time::sleep;
use tracing::info;

use super::duty::{self, Cursor, Duty};
use super::{PACE, Piece, REST};
use crate::domain::{Micros, ShardId};
use crate::store::Retention;
use crate::store::postgres::{Store, deciding, sweep};

/// Fences in one transaction.
const FENCES: usize = 1_000;

/// Removes a piece of superseded history: what is beyond so many editions of its record, or was decided before a horizon.
///
/// # Errors
/// Nothing is removed.
pub async fn sweep_history(store: &Store, editions: u64, horizon: Micros, most: usize) -> Result<Piece, Failure> {
    let mut tx = store.database.duties().begin().await?;
    let Some(at) = duty::take(&mut tx, Duty::History).await? else { return Ok(Piece::NotNow) };
    let keep = Retention { editions, horizon };
    let swept = sweep::sweep_history(&mut tx, at.shard, at.after, most, keep).await?;
    let next = match (swept.next, ShardId::from_index(at.shard.index() + 1)) {
        (0, None) => None,
        (0, Some(shard)) => Some(Cursor { shard, after: 0 }),
        (after, _) => Some(Cursor { after, ..at }),
    };
    match next {
        Some(next) => duty::go_on(&mut tx, Duty::History, next).await?,
        None => duty::rest(&mut tx, Duty::History, REST).await?,
    }
    tx.commit().await?;
    Ok(if next.is_some() { Piece::More(swept.removed) } else { Piece::Done(swept.removed) })
}

/// Forgets the fences that are older than a horizon, in µs since 1970, as fences are given. First the floor rises; they go when
/// everybody who decides knows it. `settles`: how long what a process knows is trusted, at most.
///
/// # Errors
/// Some may be forgotten.
pub async fn forget_fences(store: &Store, horizon: Micros, settles: Duration) -> Result<Piece, Failure> {
    let mut tx = store.database.duties().begin().await?;
    if duty::take(&mut tx, Duty::Fences).await?.is_none() {
        return Ok(Piece::NotNow);
    }
    let floor = sweep::raise_fence_floor(&mut tx, u64::try_from(horizon).unwrap_or(0)).await?;
    // The others leave it to this process until it must be done.
    duty::rest(&mut tx, Duty::Fences, if floor.is_some() { REST + settles } else { REST }).await?;
    tx.commit().await?;
    let Some(floor) = floor else { return Ok(Piece::Done(0)) };
    sleep(settles).await;
    let mut gone = 0;
    loop {
        let mut tx = store.database.duties().begin().await?;
        let piece = sweep::drop_fences(&mut tx, floor, FENCES).await?;
        tx.commit().await?;
        gone += piece;
        if piece < FENCES {
            return Ok(Piece::Done(gone));
        }
        sleep(PACE).await;
    }
}

/// Folds the epochs that ended with loss before a horizon, and the oldest beyond as many as are told apart.
///
/// # Errors
/// Nothing is folded.
pub async fn fold_epochs(store: &Store, horizon: Micros) -> Result<Piece, Failure> {
    let mut tx = store.database.duties().begin().await?;
    if duty::take(&mut tx, Duty::Epochs).await?.is_none() {
        return Ok(Piece::NotNow);
    }
    let due = deciding::read(&mut tx).await?.epochs.due(horizon);
    let folded = match due.is_empty() {
        true => 0,
        false => sweep::fold_epochs(&mut tx, &due).await?,
    };
    duty::rest(&mut tx, Duty::Epochs, REST).await?;
    tx.commit().await?;
    if folded > 0 {
        info!(epochs = folded, "epochs that ended with loss are folded");
    }
    Ok(Piece::Done(folded as usize))
}
