//! Ending an epoch: what is left of its log goes to the store, and the next one begins.

use futures::future::{FutureExt as _, try_join_all};
use tracing::{error, info, warn};

use super::watch::Watch;
use crate::{
    domain::{EpochId, Seq, ShardId},
    place::{Identity, Trouble},
    redis::{
        archive::{Deciding, Open, Prefix, Unflushed, Who},
        engine::Engine,
        flush::FLUSH_BYTES,
    },
};

/// Writes of a log that came too late which are named one by one.
const NAMED_MAX: usize = 20;

impl Watch {
    /// Takes what the place still has of an epoch's log to the store. A shard whose log is proven whole is clean then.
    pub(super) async fn salvage(&self, deciding: &Deciding, now: &Identity) {
        let Who::Place(life) = &deciding.who else { return };
        for shard in ShardId::all() {
            if let Err(why) = self.engine.salvage_shard(deciding, shard, life == now).await {
                warn!(epoch = %deciding.epoch, shard = shard.index(), why, "what is left of a log cannot be stored");
            }
        }
    }

    /// Begins the next epoch: in this life of the place, or in the store.
    pub(super) async fn begin(&mut self, deciding: &Deciding, life: Option<Identity>) {
        let who = life.map_or(Who::Store, |life| {
            self.engine.place.accept(&life);
            Who::Place(life)
        });
        let place = &self.engine.place;
        let open: Open<'_> = match &who {
            Who::Store => Box::new(|_, _| async { Ok(()) }.boxed()),
            Who::Place(_) => Box::new(move |epoch, shards: Vec<(ShardId, Seq)>| {
                async move {
                    let opened = shards.into_iter().map(|(shard, stored)| place.open(shard, epoch, stored));
                    try_join_all(opened).await.map(drop)
                }
                .boxed()
            }),
        };
        match self.engine.archive.switch(deciding.epoch, who.clone(), open).await {
            Ok(Some(switched)) => {
                self.engine.tally.switched(&switched);
                self.begun = matches!(who, Who::Place(_)).then_some(switched.epoch);
            }
            Ok(None) => {}
            Err(failure) => error!(error = %failure, "who decides cannot be changed"),
        }
        self.engine.lease.want();
    }

    /// Removes what other epochs left in the place. A log that nobody has asked for belongs to an epoch that ended while the
    /// place was away: it comes too late, and is reported.
    pub(super) async fn clear(&self, epoch: EpochId) {
        for shard in ShardId::all() {
            let Ok(kept) = self.engine.place.clear(shard, epoch).await else { return };
            for old in kept {
                self.report(shard, old).await;
            }
        }
    }

    async fn report(&self, shard: ShardId, epoch: EpochId) {
        let Ok(entries) = self.engine.place.survivors(shard, epoch, 0, FLUSH_BYTES).await else { return };
        let writes: Vec<_> = entries.iter().flat_map(|entry| &entry.editions).collect();
        let named: Vec<_> =
            writes.iter().take(NAMED_MAX).map(|(address, edition)| (address, edition.revision)).collect();
        warn!(
            %epoch,
            shard = shard.index(),
            writes = writes.len(),
            ?named,
            "a log was found whose epoch has ended: its writes are not merged"
        );
    }
}

impl Engine {
    async fn salvage_shard(&self, deciding: &Deciding, shard: ShardId, same_life: bool) -> Result<(), &'static str> {
        let epoch = deciding.epoch;
        let away = |_: Trouble| "the place does not answer";
        // Only while the epoch is open there is it said what its log must reach. One who came this far before has closed it,
        // and left the shard clean if its log was whole.
        let decided = match self.place.standing(shard, epoch).await {
            Ok(standing) if same_life => Some(standing.decided),
            Ok(_) | Err(Trouble::Closed) => None,
            Err(trouble) => return Err(away(trouble)),
        };
        let state = deciding.shards.get(shard.index()).ok_or("the store has no such shard")?;
        let mut position = state.position;
        loop {
            let entries = self.place.survivors(shard, epoch, position, FLUSH_BYTES).await.map_err(away)?;
            let first = entries.first().and_then(|entry| entry.editions.first()).map(|(_, edition)| edition.seq);
            match first {
                None => break,
                Some(first) if first != position + 1 => return Err("it does not follow what is stored"),
                Some(_) => {}
            }
            let prefix = Prefix { shard, after: position, entries, marks: None };
            let (writes, last) = (prefix.entries.len(), prefix.last());
            let flushed = self.archive.flush(epoch, vec![prefix]).await.map_err(|unflushed| match unflushed {
                Unflushed::Ended => "the epoch is over",
                Unflushed::Failed(_) => "the store does not take it",
            })?;
            position = match flushed.first().and_then(|flushed| flushed.position) {
                Some(stored) if stored > position => stored,
                _ => return Err("another works on it"),
            };
            if position == last {
                info!(%epoch, shard = shard.index(), writes, "what was left of a log is stored");
            }
        }
        let whole = decided.is_some_and(|decided| decided <= position);
        if whole && state.dirty.is_some() {
            let cleaned = self.archive.clean(epoch, shard, position).await;
            cleaned.map_err(|_| "the store does not take that it is clean")?;
        }
        Ok(())
    }
}
