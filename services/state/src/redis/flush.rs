//! The flusher: takes what is decided to the store, in order, each shard's own prefix of its log. While one transaction is
//! under way, the next gathers.
//!
//! Any process may flush any shard. The store takes a prefix only right behind what it has, under the shard's lock, and only
//! while the epoch counts: so it does no harm to try again what may be stored already, or to try what another does.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures::future::join_all;
use holdfast_rpc::service::Stop;
use holdfast_storage::Failure;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::{
    archive::{Deciding, Flushed, Prefix, Unflushed},
    engine::{Engine, Halt},
    lanes::Lane,
    planted::Fault,
};
use crate::{
    domain::{EpochId, ShardId},
    failed::Failed,
};

/// Bytes of one shard's log that one transaction takes.
pub(super) const FLUSH_BYTES: usize = 1 << 20;
/// Between two tries while something fails, at first …
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// … and at last.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One lane, until it is told to stop.
pub(super) async fn run(engine: Arc<Engine>, number: usize, stop: Stop) {
    let lane = &engine.lanes.all()[number];
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(shards) = stop.run_until_cancelled(lane.rung(engine.settings.flush_within)).await else { return };
        let works = match engine.lease.known() {
            Some(deciding) if Engine::in_place(&deciding) => engine.flush(lane, &deciding, shards).await,
            // Whoever waits is told by the next epoch, and what is left by the last is nobody's business here.
            _ => true,
        };
        if works {
            pause = FIRST_PAUSE;
        } else if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        } else {
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Engine {
    /// Takes the logs of shards to the store; whether that works at all.
    async fn flush(&self, lane: &Lane, deciding: &Deciding, shards: Vec<ShardId>) -> bool {
        let epoch = deciding.epoch;
        let logs = join_all(shards.iter().map(|shard| self.prefix(epoch, *shard))).await;
        let (mut prefixes, mut works) = (Vec::new(), true);
        for (shard, prefix) in shards.into_iter().zip(logs) {
            match prefix {
                Ok(Some(prefix)) => prefixes.push(prefix),
                Ok(None) => {}
                Err(halt) => works &= self.give_back(lane, shard, &halt),
            }
        }
        if prefixes.is_empty() {
            return works;
        }
        if self.faults.has(Fault::MarkBeforeCommit) {
            let marks = prefixes.iter().map(|prefix| self.place.mark(prefix.shard, epoch, prefix.last()));
            join_all(marks).await;
        }
        if self.faults.has(Fault::ArmBeforeMark) {
            join_all(prefixes.iter().map(|prefix| self.place.arm(prefix.shard, epoch, prefix.last(), true))).await;
        }
        works & self.commit(lane, epoch, prefixes).await
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

    async fn commit(&self, lane: &Lane, epoch: EpochId, prefixes: Vec<Prefix>) -> bool {
        let (began, entries) = (Instant::now(), prefixes.iter().map(|prefix| prefix.entries.len()).sum());
        let shards: Vec<_> = prefixes.iter().map(|prefix| prefix.shard).collect();
        match self.archive.flush(epoch, prefixes.clone()).await {
            Ok(flushed) => {
                self.tally.calls.flushed(entries, began.elapsed());
                lane.flushed(None);
                let settled = flushed.iter().zip(&prefixes);
                let settled = settled.map(|(flushed, prefix)| self.settle_flushed(lane, epoch, prefix, *flushed));
                join_all(settled).await.into_iter().all(|works| works)
            }
            Err(Unflushed::Ended) => {
                self.lease.want();
                true
            }
            Err(Unflushed::Failed(failure)) => {
                self.tally.flushes_failed.increment(1);
                lane.flushed(Some(failure.clone()));
                for shard in shards {
                    self.give_back(lane, shard, &Halt::from(failure.clone()));
                }
                false
            }
        }
    }

    /// What is stored becomes visible, and then its writers are answered.
    async fn settle_flushed(&self, lane: &Lane, epoch: EpochId, prefix: &Prefix, flushed: Flushed) -> bool {
        let shard = flushed.shard;
        let Some(position) = flushed.position else {
            lane.ring(shard);
            return true;
        };
        let marked = async {
            self.place.mark(shard, epoch, position).await?;
            if flushed.dirty && self.desk(shard).wants_mark.swap(false, Relaxed) {
                self.place.arm(shard, epoch, position, true).await?;
            }
            Ok(())
        };
        match marked.await.map_err(|trouble| self.halted(epoch, trouble)) {
            Ok(()) => {
                self.desk(shard).reach(epoch, position);
                let more = prefix.bytes() >= FLUSH_BYTES;
                if more || position < prefix.last() {
                    lane.ring(shard);
                }
                true
            }
            Err(halt) => self.give_back(lane, shard, &halt),
        }
    }

    /// A shard is to be tried again, where that makes sense; whoever waits for it is told. Whether all is well.
    fn give_back(&self, lane: &Lane, shard: ShardId, halt: &Halt) -> bool {
        match halt {
            Halt::Ended { .. } => true,
            Halt::Failed(failed) => {
                let failure = reason(failed);
                debug!(shard = shard.index(), error = %failure, "a shard's writes are not stored yet");
                self.desk(shard).fail(&failure);
                lane.ring(shard);
                false
            }
        }
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
