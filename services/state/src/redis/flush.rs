//! The flusher: takes what is decided to the store, in order, each shard's own prefix of its log. While one transaction is
//! under way, the next gathers.
//!
//! Any process may flush any shard. The store takes a prefix only right behind what it has, under the shard's lock, and only
//! while the epoch counts: so it does no harm to try again what may be stored already, or to try what another does.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures::future::join_all;
use holdfast_rpc::service::Stop;
use holdfast_storage::Failure;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::{
    archive::{Flushed, Prefix, Unflushed},
    engine::{Engine, Halt},
    lanes::{Lane, Why},
    planted::Fault,
};
use crate::{
    domain::{EpochId, Seq, ShardId},
    failed::Failed,
};

/// Bytes of one shard's log that one transaction takes.
pub(super) const FLUSH_BYTES: usize = 1 << 20;

/// One lane, until it is told to stop.
pub(super) async fn run(engine: Arc<Engine>, number: usize, stop: Stop) {
    let lane = &engine.lanes.all()[number];
    while let Some(shards) = stop.run_until_cancelled(lane.rung(engine.settings.flush_within)).await {
        match engine.lease.known() {
            Some(deciding) if Engine::in_place(&deciding) => engine.flush(lane, deciding.epoch, shards).await,
            // Whoever waits is told by the next epoch, and what is left by the last is nobody's business here.
            _ => shards.into_iter().for_each(|shard| lane.works(shard)),
        }
    }
}

impl Engine {
    /// Takes the logs of shards to the store.
    async fn flush(&self, lane: &Lane, epoch: EpochId, shards: Vec<ShardId>) {
        let logs = join_all(shards.iter().map(|shard| self.prefix(epoch, *shard))).await;
        let mut prefixes = Vec::new();
        for (shard, prefix) in shards.into_iter().zip(logs) {
            match prefix {
                Ok(Some(prefix)) => prefixes.push(prefix),
                // Whoever has stored it has found that the store works.
                Ok(None) => lane.works(shard),
                Err(halt) => self.give_back(lane, epoch, shard, &halt),
            }
        }
        if self.faults.has(Fault::MarkBeforeCommit) {
            let marks = prefixes.iter().map(|prefix| self.place.mark(prefix.shard, epoch, prefix.last()));
            join_all(marks).await;
        }
        if self.faults.has(Fault::ArmBeforeMark) {
            let window = Some(self.settings.window);
            join_all(prefixes.iter().map(|prefix| self.place.arm(prefix.shard, epoch, prefix.last(), window))).await;
        }
        let (alone, together): (Vec<_>, _) =
            prefixes.into_iter().partition(|prefix| lane.is_refused_alone(prefix.shard));
        self.commit(lane, epoch, together).await;
        self.commit_each(lane, epoch, alone).await;
    }

    /// What a shard's log has that is not stored; `None` where there is nothing.
    async fn prefix(&self, epoch: EpochId, shard: ShardId) -> Result<Option<Prefix>, Halt> {
        let desk = self.desk(shard);
        let halted = |trouble| self.halted(epoch, trouble);
        if desk.stored(epoch) == 0 {
            let standing = self.place.standing(shard, epoch).await.map_err(halted)?;
            desk.reach(epoch, standing.stored);
        }
        let after = desk.stored(epoch);
        let entries = self.place.log(shard, epoch, after, FLUSH_BYTES).await.map_err(halted)?;
        if entries.is_empty() {
            // Another process has stored and marked it.
            let standing = self.place.standing(shard, epoch).await.map_err(halted)?;
            desk.reach(epoch, standing.stored);
            if standing.decided > standing.stored {
                self.lanes.ring(shard);
            }
            return Ok(None);
        }
        let first = entries.first().and_then(|entry| entry.editions.first()).map_or(0, |(_, edition)| edition.seq);
        // Behind the place's own `stored`, which another process has raised since.
        let after = after.max(first.saturating_sub(1));
        let wants = desk.wants_mark.load(Relaxed) && !self.faults.has(Fault::ArmBeforeMark);
        let marks = wants.then_some(self.settings.window);
        Ok(Some(Prefix { shard, after, entries, marks }))
    }

    async fn commit_each(&self, lane: &Lane, epoch: EpochId, prefixes: Vec<Prefix>) {
        for prefix in prefixes {
            self.commit(lane, epoch, vec![prefix]).await;
        }
    }

    async fn commit(&self, lane: &Lane, epoch: EpochId, prefixes: Vec<Prefix>) {
        if prefixes.is_empty() {
            return;
        }
        let (began, entries) = (Instant::now(), prefixes.iter().map(|prefix| prefix.entries.len()).sum());
        match self.archive.flush(epoch, prefixes.clone()).await {
            Ok(flushed) => {
                self.tally.calls.flushed(entries, began.elapsed());
                let settled = flushed.iter().zip(&prefixes);
                let settled = settled.map(|(flushed, prefix)| self.settle_flushed(lane, epoch, prefix, *flushed));
                join_all(settled).await;
            }
            Err(Unflushed::Ended) => {
                self.lease.want();
                prefixes.iter().for_each(|prefix| lane.works(prefix.shard));
            }
            // What the store has against one of them is not the others' fault.
            Err(Unflushed::Failed(failure)) if prefixes.len() > 1 && !failure.is_outage() => {
                Box::pin(self.commit_each(lane, epoch, prefixes)).await;
            }
            Err(Unflushed::Failed(failure)) => {
                self.tally.flushes_failed.increment(1);
                let why = if failure.is_outage() { Why::Store } else { Why::Shard };
                for prefix in prefixes {
                    self.failed(lane, epoch, prefix.shard, why(failure.clone()), &failure);
                }
            }
        }
    }

    /// What is stored becomes visible, and then its writers are answered.
    async fn settle_flushed(&self, lane: &Lane, epoch: EpochId, prefix: &Prefix, flushed: Flushed) {
        let shard = flushed.shard;
        let Some(position) = flushed.position else {
            lane.works(shard);
            return lane.ring(shard);
        };
        if position < prefix.after {
            return self.forgotten(lane, epoch, prefix, position);
        }
        let marked = async {
            self.place.mark(shard, epoch, position).await?;
            if flushed.dirty.is_some() && self.desk(shard).wants_mark.swap(false, Relaxed) {
                self.place.arm(shard, epoch, position, flushed.dirty).await?;
            }
            Ok(())
        };
        match marked.await.map_err(|trouble| self.halted(epoch, trouble)) {
            Ok(()) => {
                lane.works(shard);
                self.desk(shard).reach(epoch, position);
                let more = prefix.bytes() >= FLUSH_BYTES;
                if more || position < prefix.last() {
                    lane.ring(shard);
                }
            }
            Err(halt) => self.give_back(lane, epoch, shard, &halt),
        }
    }

    /// The store is behind what the place shows as stored: it is not the one that took it, and nothing more can follow.
    fn forgotten(&self, lane: &Lane, epoch: EpochId, prefix: &Prefix, position: Seq) {
        let shard = prefix.shard;
        error!(shard = shard.index(), visible = prefix.after, position, "the store has lost what was stored in it");
        lane.works(shard);
        self.lease.give_up(epoch);
        self.lease.want();
    }

    /// A shard is to be tried again, where that makes sense.
    fn give_back(&self, lane: &Lane, epoch: EpochId, shard: ShardId, halt: &Halt) {
        match halt {
            Halt::Ended { .. } => lane.works(shard),
            Halt::Failed(failed) => self.failed(lane, epoch, shard, Why::Place, &reason(failed)),
        }
    }

    /// Whoever waits for a shard is told why that takes longer.
    fn failed(&self, lane: &Lane, epoch: EpochId, shard: ShardId, why: Why, failure: &Failure) {
        debug!(shard = shard.index(), error = %failure, "a shard's writes are not stored yet");
        lane.fails(epoch, shard, why);
        self.desk(shard).fail(failure);
    }

    /// Stores everything that is decided, as far as that works: before this process ends.
    pub(super) async fn flush_all(&self) {
        let Some(deciding) = self.lease.known().filter(|deciding| Self::in_place(deciding)) else { return };
        let barriers = self.desks.iter().map(|desk| self.barrier(deciding.epoch, desk.id));
        let unstored = join_all(barriers).await.into_iter().filter(Result::is_err).count();
        if unstored > 0 {
            warn!(shards = unstored, "ending while writes are not stored: they are left to other processes");
        }
    }
}

fn reason(failed: &Failed) -> Failure {
    match failed {
        Failed::Store(unstored) => unstored.failure.clone(),
        _ => super::engine::unknown().failure,
    }
}
