//! One virtual shard: the cache, the log, and the decisions about its records.
//!
//! Invariants, all under the shard's one lock:
//! - a write is decided by what the cache holds, and is in the log before the lock is released;
//! - a record with writes in the log is never evicted, so the cache is never behind the store;
//! - what is *visible* is stored, or acknowledged as CACHED; a DURABLE write becomes visible when it leaves the log;
//! - the log is taken by the flusher in its order, in whole prefixes.

mod cache;
mod claim;
mod decision;
mod fill;
mod log;
mod mark;
mod release;
mod trail;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use holdfast_storage::Failure;
use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    domain::{Edition, Epochs, RecordId, Seq, ShardId, Vector},
    embedded::window::Window,
    store::{Recovered, Step, Unstored},
};

use cache::Cache;
pub use claim::Claim;
use claim::Claims;
pub use decision::Decision;
use fill::Fills;
pub use fill::{Filled, Look, Ticket};
use log::{Entry, Log};
use mark::Mark;

/// What somebody who waits for the store is told.
pub type Stored = Result<(), Unstored>;

/// What all shards share.
#[derive(Debug)]
pub struct Shared {
    /// The bounds on what waits.
    pub window: Window,
    /// Which shards have something for the flusher.
    pub bell: crate::embedded::bell::Bell,
    /// Whether the last flush was stored: while the store fails, nothing is acknowledged before it is stored.
    pub healthy: AtomicBool,
    /// Faults planted by tests.
    #[cfg(feature = "planted-faults")]
    pub faults: crate::faults::FaultPlan,
    seq: AtomicU64,
    record: AtomicU64,
}

impl Shared {
    /// What follows from an opened store.
    pub fn new(window: Window, recovered: &Recovered) -> Self {
        Self {
            window,
            bell: crate::embedded::bell::Bell::default(),
            healthy: AtomicBool::new(true),
            #[cfg(feature = "planted-faults")]
            faults: crate::faults::FaultPlan::default(),
            seq: AtomicU64::new(recovered.seq),
            record: AtomicU64::new(recovered.record),
        }
    }

    fn next_seq(&self) -> Seq {
        self.seq.fetch_add(1, Relaxed) + 1
    }

    fn next_record(&self) -> RecordId {
        self.record.fetch_add(1, Relaxed) + 1
    }
}

/// One shard.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    epochs: Arc<Epochs>,
    /// The vector of records that are not there, as the store has it …
    floor: Vector,
    /// … and with the tombstones whose end is in the log.
    next_floor: Vector,
    cache: Cache,
    log: Log,
    claims: Claims,
    fills: Fills,
    mark: Mark,
    last_cached: Instant,
}

impl Shard {
    /// An empty shard with its share of the cache.
    pub fn new(id: ShardId, shared: Arc<Shared>, epochs: Arc<Epochs>, floor: Vector, cache_bytes: usize) -> Self {
        let inner = Inner {
            epochs,
            next_floor: floor.clone(),
            floor,
            cache: Cache::new(cache_bytes),
            log: Log::default(),
            claims: Claims::default(),
            fills: Fills::default(),
            mark: Mark::Clean,
            last_cached: Instant::now(),
        };
        Self { id, shared, inner: Mutex::new(inner) }
    }

    /// Which one it is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// The epochs have changed: some are folded now.
    pub fn learn(&self, epochs: &Arc<Epochs>) {
        self.lock().epochs = Arc::clone(epochs);
    }

    /// Bytes in its cache.
    pub fn cache_bytes(&self) -> usize {
        self.lock().cache.bytes()
    }

    /// When the oldest write that waits was decided.
    pub fn oldest(&self) -> Option<Instant> {
        self.lock().log.oldest()
    }

    /// Waits until all that is decided about a partition is stored; `None` where nothing waits.
    pub fn barrier(&self, concerns: impl Fn(&Step) -> bool) -> Option<oneshot::Receiver<Stored>> {
        let mut inner = self.lock();
        if !inner.log.steps().any(concerns) {
            return None;
        }
        let stored = inner.push_synchronous(Step::Barrier, &self.shared);
        drop(inner);
        self.shared.bell.ring(self.id);
        Some(stored)
    }

    /// Forgets a tombstone: its vector goes into the shard's floor. Nothing happens where the record is not a tombstone
    /// at rest in the cache.
    pub fn forget(&self, address: &crate::domain::Address) -> Option<oneshot::Receiver<Stored>> {
        let mut inner = self.lock();
        let tombstone = inner.cache.begin_drop(address)?;
        inner.next_floor = inner.next_floor.merge(&tombstone.vector, &inner.epochs);
        let step = Step::Drop { address: address.clone(), edition: tombstone, floor: inner.next_floor.clone() };
        let stored = inner.push_synchronous(step, &self.shared);
        drop(inner);
        self.shared.bell.ring(self.id);
        Some(stored)
    }

    /// Clears the dirty mark once everything CACHED is stored and none was written since `idle_since`.
    pub fn clean(&self, idle_since: Instant) -> Option<oneshot::Receiver<Stored>> {
        let mut inner = self.lock();
        if !inner.mark.may_be_stored() || !inner.log.is_empty() || inner.last_cached > idle_since {
            return None;
        }
        inner.mark = Mark::Cleaning;
        let stored = inner.push_synchronous(Step::Clean, &self.shared);
        drop(inner);
        self.shared.bell.ring(self.id);
        Some(stored)
    }
}

impl Inner {
    fn push_synchronous(&mut self, step: Step, shared: &Shared) -> oneshot::Receiver<Stored> {
        let (ack, stored) = oneshot::channel();
        let entry = Entry::new(Arc::new(step), 0, Some(ack), None);
        shared.window.enter(entry.bytes, entry.is_cached());
        self.log.push(entry);
        stored
    }
}

/// An edition, or its absence, as the store had it.
pub type Found = Result<Option<Arc<Edition>>, Failure>;

#[cfg(test)]
mod tests;
