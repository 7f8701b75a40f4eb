//! Prefixes of logs, stored under the locks of their shards.

use std::sync::Arc;

use holdfast_storage::Trouble;
use sqlx::PgConnection;

use super::{begin, leave};
use crate::{
    domain::{EpochId, Seq, ShardId},
    redis::archive::{Flushed, Prefix},
    store::{
        Change,
        postgres::tables::{self, Advance, Decides, Lock, ShardRow},
    },
};

/// Stores what stands right behind what is stored; `None`: the epoch is over.
pub(super) async fn flush(
    connection: &mut PgConnection,
    epoch: EpochId,
    prefixes: &[Prefix],
) -> Result<Option<Vec<Flushed>>, Trouble> {
    let mut tx = begin(connection).await?;
    let shards: Vec<_> = prefixes.iter().map(|prefix| prefix.shard).collect();
    let mut rows = tables::lock_shards(&mut tx, &shards, Lock::Skip).await?;
    if rows.is_empty() {
        // Others work on all of them: the first one is waited for.
        rows = tables::lock_shards(&mut tx, &shards[..1], Lock::Wait).await?;
    }
    if !rows.iter().all(|row| row.epoch == epoch && row.who == Decides::Redis && row.same_server) {
        return leave(tx, None).await;
    }
    let row_of = |prefix: &Prefix| rows.iter().find(|row| row.shard == prefix.shard);
    let fits = |prefix: &&Prefix| row_of(prefix).is_some_and(|row| row.position == prefix.after);
    let stored: Vec<_> = prefixes.iter().filter(fits).collect();
    if !stored.is_empty() {
        let changes: Vec<_> = stored.iter().flat_map(|prefix| changes(prefix)).collect();
        let advances: Vec<_> = stored
            .iter()
            .map(|prefix| Advance { shard: prefix.shard, from: prefix.after, to: prefix.last() })
            .collect();
        tables::store(&mut tx, &changes, &advances).await?;
        for prefix in stored.iter().filter(|prefix| row_of(prefix).is_some_and(|row| row.dirty.is_none())) {
            if let Some(bound) = prefix.marks {
                tables::mark(&mut tx, prefix.shard, epoch, Some(bound)).await?;
            }
        }
    }
    tx.commit().await?;
    Ok(Some(prefixes.iter().map(|prefix| flushed(prefix, row_of(prefix))).collect()))
}

fn changes(prefix: &Prefix) -> impl Iterator<Item = Change> {
    let editions = prefix.entries.iter().flat_map(|entry| &entry.editions);
    editions.map(|(address, edition)| Change {
        address: address.clone(),
        edition: Arc::clone(edition),
        creates: edition.previous == 0,
    })
}

fn flushed(prefix: &Prefix, row: Option<&ShardRow>) -> Flushed {
    let fits = row.is_some_and(|row| row.position == prefix.after);
    Flushed {
        shard: prefix.shard,
        position: row.map(|row| if fits { prefix.last() } else { row.position }),
        dirty: row.and_then(|row| row.dirty.or(prefix.marks.filter(|_| fits))),
    }
}

/// Clears the mark of a shard that is stored up to exactly this place.
pub(super) async fn clean(
    connection: &mut PgConnection,
    epoch: EpochId,
    shard: ShardId,
    at: Seq,
) -> Result<bool, Trouble> {
    let mut tx = begin(connection).await?;
    let rows = tables::lock_shards(&mut tx, &[shard], Lock::Wait).await?;
    let stands = rows.iter().all(|row| row.epoch == epoch && row.position == at && row.same_server);
    if stands {
        tables::mark(&mut tx, shard, epoch, None).await?;
    }
    tx.commit().await?;
    Ok(stands)
}
