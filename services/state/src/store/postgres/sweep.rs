//! Forgetting, a piece at a time, in the caller's transaction. None of it decides about a record.

use std::collections::HashSet;

use holdfast_storage::Trouble;
use sqlx::{PgConnection, Row as _};

use super::rows::{self, signed};
use super::tables::{self, Lock};
use crate::domain::{Address, Edition, EpochId, Epochs, Seq, ShardId, Vector};
use crate::store::{Retention, Swept};

pub(super) const HISTORY: &str = include_str!("sweep/history.sql");
pub(super) const FENCE_FLOOR: &str = include_str!("sweep/fence_floor.sql");
pub(super) const FENCES: &str = include_str!("sweep/fences.sql");

/// Removes superseded history of a shard behind the retention, from `after` on, looking at `most` rows at most.
///
/// # Errors
/// What the database says.
pub async fn sweep_history(
    tx: &mut PgConnection,
    shard: ShardId,
    after: Seq,
    most: usize,
    keep: Retention,
) -> Result<Swept, Trouble> {
    let row = sqlx::query(HISTORY)
        .bind(rows::shard_number(shard))
        .bind(signed(after))
        .bind(rows::count(most))
        .bind(keep.horizon)
        .bind(i64::try_from(keep.editions).unwrap_or(i64::MAX))
        .fetch_one(tx)
        .await?;
    let next: Option<i64> = row.try_get(0)?;
    Ok(Swept { next: next.unwrap_or(0).cast_unsigned(), removed: rows::number(&row, 1)? as usize })
}

/// Remembers no fence below a horizon any more, and answers with the oldest that is remembered from now on; `None`: there is
/// none to forget. Who decides by a floor that he read before does so no longer than his knowledge lasts.
///
/// # Errors
/// What the database says.
pub async fn raise_fence_floor(tx: &mut PgConnection, horizon: u64) -> Result<Option<u64>, Trouble> {
    let raised = sqlx::query(FENCE_FLOOR).bind(i64::try_from(horizon).unwrap_or(i64::MAX)).fetch_optional(tx).await?;
    Ok(raised.map(|row| rows::number(&row, 0)).transpose()?)
}

/// Forgets the oldest fences below a floor that everybody who decides knows by now, with the notes of their copies: see
/// [`raise_fence_floor`]. One that a write holds just now stays for another time.
///
/// # Errors
/// What the database says.
pub async fn drop_fences(tx: &mut PgConnection, floor: u64, most: usize) -> Result<usize, Trouble> {
    let gone: i64 = sqlx::query_scalar(FENCES).bind(signed(floor)).bind(rows::count(most)).fetch_one(tx).await?;
    Ok(gone.unsigned_abs() as usize)
}

/// Makes lost epochs count as folded. Everybody who compares versions under the lock of a shard's row finds there that he has
/// to read the epochs again first.
///
/// # Errors
/// What the database says.
pub async fn fold_epochs(tx: &mut PgConnection, epochs: &[EpochId]) -> Result<u64, Trouble> {
    let shards: Vec<_> = ShardId::all().collect();
    tables::lock_shards(tx, &shards, Lock::Wait).await?;
    let epochs: Vec<_> = epochs.iter().map(|epoch| signed(epoch.0)).collect();
    let folded = sqlx::query("UPDATE epochs SET state = 'folded' WHERE epoch = ANY ($1::bigint[]) AND state = 'lost'")
        .bind(epochs)
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if folded > 0 {
        let raise = "UPDATE deciders SET folds = folds + 1, knowledge = knowledge + 1 WHERE only_row = 1";
        sqlx::query(raise).execute(&mut *tx).await?;
        sqlx::query("UPDATE shards SET folds = folds + 1").execute(tx).await?;
    }
    Ok(folded)
}

/// Merges tombstones of one shard into its floor, and answers with it. From then on a record counts on from there where it is
/// not there; who decides by a floor that he read before does so no longer than his knowledge lasts.
///
/// # Errors
/// What the database says.
pub async fn raise_floor(
    tx: &mut PgConnection,
    shard: ShardId,
    epochs: &Epochs,
    addresses: &[Address],
) -> Result<Option<Vector>, Trouble> {
    let Some(row) = tables::lock_shards(tx, &[shard], Lock::Wait).await?.pop() else { return Ok(None) };
    if row.epoch != epochs.current() || !row.same_server {
        return Ok(None);
    }
    let stored = tables::load(tx, addresses).await?;
    let gone = stored.iter().flatten().filter(|edition| !edition.is_live());
    let floor = gone.fold(row.floor.clone(), |floor, edition| floor.merge(&edition.vector, epochs));
    if floor != row.floor {
        tables::set_floor(tx, shard, &floor).await?;
    }
    Ok(Some(floor))
}

/// Forgets tombstones of one shard that a floor covers, which everybody who decides knows by now: see [`raise_floor`].
///
/// # Errors
/// What the database says.
pub async fn drop_tombstones(
    tx: &mut PgConnection,
    shard: ShardId,
    epochs: &Epochs,
    floor: &Vector,
    addresses: &[Address],
) -> Result<usize, Trouble> {
    let Some(row) = tables::lock_shards(tx, &[shard], Lock::Wait).await?.pop() else { return Ok(0) };
    if row.epoch != epochs.current() || !row.same_server {
        return Ok(0);
    }
    let stored = tables::load(tx, addresses).await?;
    let mut dropped = 0;
    for tombstone in stored.iter().flatten().filter(|edition| is_covered(edition, floor, epochs)) {
        dropped += usize::from(tables::drop_record(tx, tombstone).await?);
    }
    Ok(dropped)
}

fn is_covered(edition: &Edition, floor: &Vector, epochs: &Epochs) -> bool {
    !edition.is_live() && floor.merge(&edition.vector, epochs) == floor.merge(&Vector::default(), epochs)
}

/// The shards of addresses, each with its own.
pub(super) fn by_shard(addresses: &[Address]) -> impl Iterator<Item = (ShardId, Vec<Address>)> {
    let shards: HashSet<_> = addresses.iter().map(Address::shard).collect();
    shards.into_iter().map(|shard| {
        let own = addresses.iter().filter(|address| address.shard() == shard).cloned().collect();
        (shard, own)
    })
}
