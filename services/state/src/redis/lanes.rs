//! Which shards have something to flush, and who sees to it: each lane has its own shards, and one transaction at a time.

use std::{
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
use crate::domain::ShardId;

/// All of them.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

/// One of them: a bit for each shard.
#[derive(Debug, Default)]
pub struct Lane {
    now: AtomicU64,
    later: AtomicU64,
    rung: Notify,
    /// Why its last flush failed; while it does, nobody decides what would have to wait for it.
    failing: Mutex<Option<Failure>>,
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
    pub(super) fn refusal(&self, shard: ShardId) -> Option<Halt> {
        self.of(shard).failing.lock().clone().map(Halt::from)
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

    /// What its last flush came to.
    pub fn flushed(&self, failure: Option<Failure>) {
        *self.failing.lock() = failure;
    }

    /// Waits until some shard has: the urgent at once, with all that is noted; what is noted only after `patience`.
    pub async fn rung(&self, patience: Duration) -> Vec<ShardId> {
        let mut due: Option<Instant> = None;
        loop {
            if self.now.load(Acquire) != 0 || due.is_some_and(|due| due <= Instant::now()) {
                let bits = self.now.swap(0, AcqRel) | self.later.swap(0, AcqRel);
                if bits != 0 {
                    return ShardId::all().filter(|shard| bits & bit(*shard) != 0).collect();
                }
                due = None;
            }
            if due.is_none() && self.later.load(Acquire) != 0 {
                due = Some(Instant::now() + patience);
            }
            match due {
                // Either way there is something to look at.
                Some(due) => drop(timeout_at(due, self.rung.notified()).await),
                None => self.rung.notified().await,
            }
        }
    }
}

fn bit(shard: ShardId) -> u64 {
    1 << shard.index()
}
