//! Ending an epoch: what is left of its log goes to the store, and the next one begins.

use futures::future::{FutureExt as _, try_join_all};
use tracing::{error, info, warn};

use super::watch::Watch;
use crate::{
    domain::{EpochId, Seq, ShardId},
    place::Identity,
    redis::{
        archive::{Deciding, Open, Prefix, Unflushed, Who},
        engine::Engine,
        flush::FLUSH_BYTES,
    },
};

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
    pub(super) async fn begin(&self, deciding: &Deciding, life: Option<Identity>) {
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
            Ok(_) => {}
            Err(failure) => error!(error = %failure, "who decides cannot be changed"),
        }
        self.engine.lease.want();
    }
}

impl Engine {
    async fn salvage_shard(&self, deciding: &Deciding, shard: ShardId, same_life: bool) -> Result<(), &'static str> {
        let epoch = deciding.epoch;
        let state = deciding.shards.get(shard.index()).ok_or("the store has no such shard")?;
        let mut position = state.position;
        let reached = loop {
            let left = self.place.survivors(shard, epoch, position, FLUSH_BYTES).await;
            let left = left.map_err(|_| "the place does not answer")?;
            if left.entries.is_empty() {
                break left.reached;
            }
            let mut prefix = Prefix { shard, after: position, entries: left.entries, marks: None };
            let gap = prefix.cut_at_gap();
            let (writes, last) = (prefix.entries.len(), prefix.last());
            if writes == 0 {
                return Err("it does not follow what is stored");
            }
            position = self.store_survivors(epoch, prefix).await?;
            if position == last {
                info!(%epoch, shard = shard.index(), writes, "what was left of a log is stored");
            }
            if gap {
                return Err("something is missing in it");
            }
        };
        // In the life in which it was decided, what closed the shard, here or at another process, saw what its log reaches.
        if same_life && reached == Some(position) && state.dirty.is_some() {
            let cleaned = self.archive.clean(epoch, shard, position).await;
            cleaned.map_err(|_| "the store does not take that it is clean")?;
        }
        Ok(())
    }

    /// The place up to which the shard is stored then.
    async fn store_survivors(&self, epoch: EpochId, prefix: Prefix) -> Result<Seq, &'static str> {
        let after = prefix.after;
        let flushed = self.archive.flush(epoch, vec![prefix]).await.map_err(|unflushed| match unflushed {
            Unflushed::Ended => "the epoch is over",
            Unflushed::Failed(_) => "the store does not take it",
        })?;
        let stored = flushed.first().and_then(|flushed| flushed.position);
        stored.filter(|stored| *stored > after).ok_or("another works on it")
    }
}
