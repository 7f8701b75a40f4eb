//! Which shards have something to flush, and who sees to it: each lane has its own shards, and one transaction at a time.
//! A shard that could not be stored rests for a while, and holds up no other.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire},
    time::Duration,
};

use holdfast_storage::Failure;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::engine::Halt;
use crate::domain::{EpochId, ShardId};

/// Between two tries while something fails, at first …
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// … and at last.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// All of them.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

/// One of them: a bit for each shard.
#[derive(Debug, Default)]
pub struct Lane {
    now: AtomicU64,
    later: AtomicU64,
    rung: Notify,
    /// Shards whose last try failed. Each is tried again by itself, until it works or its epoch is over: so nothing is
    /// refused for longer than that.
    failing: Mutex<BTreeMap<ShardId, Failing>>,
}

#[derive(Debug)]
struct Failing {
    epoch: EpochId,
    why: Why,
    pause: Duration,
    due: Instant,
}

/// What keeps a shard from being stored.
#[derive(Debug, Clone)]
pub enum Why {
    /// The place does not give its log, or does not take the mark.
    Place,
    /// The store refuses this shard: nobody decides in it what would have to wait.
    Shard(Failure),
    /// The store does not work: nobody decides anything that would have to wait.
    Store(Failure),
}

impl Lanes {
    /// So many, one at least.
    pub fn new(lanes: usize) -> Self {
        Self((0..lanes.max(1)).map(|_| Lane::default()).collect())
    }

    /// A shard has something that somebody waits for.
    pub fn ring(&self, shard: ShardId) {
        self.of(shard).ring(shard);
    }

    /// A shard has something that nobody waits for.
    pub fn note(&self, shard: ShardId) {
        let lane = self.of(shard);
        let before = lane.later.fetch_or(bit(shard), AcqRel);
        if before == 0 {
            lane.rung.notify_one();
        }
    }

    /// Why nothing is to be decided now that would wait for the store.
    pub(super) fn refusal(&self, epoch: EpochId, shard: ShardId) -> Option<Halt> {
        let failing = self.of(shard).failing.lock();
        let mut here = failing.iter().filter(|(_, failing)| failing.epoch == epoch);
        let failure = here.find_map(|(at, failing)| match &failing.why {
            Why::Store(failure) => Some(failure),
            Why::Shard(failure) if *at == shard => Some(failure),
            Why::Shard(_) | Why::Place => None,
        });
        failure.cloned().map(Halt::from)
    }

    /// Every lane, by its number.
    pub fn all(&self) -> &[Lane] {
        &self.0
    }

    fn of(&self, shard: ShardId) -> &Lane {
        &self.0[shard.index() % self.0.len()]
    }
}

impl Lane {
    /// A shard of this lane has something.
    pub fn ring(&self, shard: ShardId) {
        self.now.fetch_or(bit(shard), AcqRel);
        self.rung.notify_one();
    }

    /// Nothing keeps a shard from being stored, as far as is known.
    pub fn works(&self, shard: ShardId) {
        self.failing.lock().remove(&shard);
    }

    /// A shard could not be stored: it rests, and is tried again.
    pub fn fails(&self, epoch: EpochId, shard: ShardId, why: Why) {
        let mut failing = self.failing.lock();
        let pause = failing.get(&shard).map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        failing.insert(shard, Failing { epoch, why, pause, due: Instant::now() + pause });
    }

    /// Whether the store refused this shard alone: then it is not to be tried together with others.
    pub fn is_refused_alone(&self, shard: ShardId) -> bool {
        self.failing.lock().get(&shard).is_some_and(|failing| matches!(failing.why, Why::Shard(_)))
    }

    /// Waits until some shard has: the urgent at once, with all that is noted; what is noted only after `patience`; what
    /// rests when it is due.
    pub async fn rung(&self, patience: Duration) -> Vec<ShardId> {
        let mut due: Option<Instant> = None;
        loop {
            let retry = self.failing.lock().values().map(|failing| failing.due).min();
            if self.now.load(Acquire) != 0 || [due, retry].iter().flatten().any(|due| *due <= Instant::now()) {
                let shards = self.to_try(self.now.swap(0, AcqRel) | self.later.swap(0, AcqRel));
                if !shards.is_empty() {
                    return shards;
                }
                due = None;
                continue;
            }
            if due.is_none() && self.later.load(Acquire) != 0 {
                due = Some(Instant::now() + patience);
            }
            match due.into_iter().chain(retry).min() {
                // Either way there is something to look at.
                Some(due) => drop(timeout_at(due, self.rung.notified()).await),
                None => self.rung.notified().await,
            }
        }
    }

    /// Of the shards that have something those that do not rest, and those that have rested.
    fn to_try(&self, bits: u64) -> Vec<ShardId> {
        let (mut failing, now) = (self.failing.lock(), Instant::now());
        let tried = ShardId::all().filter(|shard| match failing.get_mut(shard) {
            None => bits & bit(*shard) != 0,
            Some(failing) => {
                let due = failing.due <= now;
                if due {
                    failing.due = now + failing.pause;
                }
                due
            }
        });
        tried.collect()
    }
}

fn bit(shard: ShardId) -> u64 {
    1 << shard.index()
}
