//! What goes by age: the history, fences, epochs.

use holdfast_storage::Failure;
use tracing::info;

use super::duty::{self, Cursor, Duty};
use super::{Piece, REST, failure};
use crate::domain::{Micros, ShardId};
use crate::store::Retention;
use crate::store::postgres::{Store, deciding, sweep};

/// Fences in one go.
const FENCES: usize = 1_000;

/// Removes a piece of superseded history: what is beyond so many editions of its record, or was decided before a horizon.
///
/// # Errors
/// Nothing is removed.
pub async fn sweep_history(store: &Store, editions: u64, horizon: Micros, most: usize) -> Result<Piece, Failure> {
    let mut tx = store.database.duties().begin().await?;
    let Some(at) = duty::take(&mut tx, Duty::History).await? else { return Ok(Piece::NotNow) };
    let keep = Retention { editions, horizon };
    let swept = sweep::sweep_history(&mut tx, at.shard, at.after, most, keep).await.map_err(failure)?;
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

/// Forgets a piece of the fences that are older than a horizon, in µs since 1970, as fences are given.
///
/// # Errors
/// Nothing is forgotten.
pub async fn forget_fences(store: &Store, horizon: Micros) -> Result<Piece, Failure> {
    let mut tx = store.database.duties().begin().await?;
    if duty::take(&mut tx, Duty::Fences).await?.is_none() {
        return Ok(Piece::NotNow);
    }
    let horizon = u64::try_from(horizon).unwrap_or(0);
    let gone = sweep::sweep_fences(&mut tx, horizon, FENCES).await.map_err(failure)?;
    if gone < FENCES {
        duty::rest(&mut tx, Duty::Fences, REST).await?;
    }
    tx.commit().await?;
    Ok(if gone < FENCES { Piece::Done(gone) } else { Piece::More(gone) })
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
    let due = deciding::read(&mut tx).await.map_err(failure)?.epochs.due(horizon);
    let folded = match due.is_empty() {
        true => 0,
        false => sweep::fold_epochs(&mut tx, &due).await.map_err(failure)?,
    };
    duty::rest(&mut tx, Duty::Epochs, REST).await?;
    tx.commit().await?;
    if folded > 0 {
        info!(epochs = folded, "epochs that ended with loss are folded");
    }
    Ok(Piece::Done(folded as usize))
}
