//! The port to the persistent store: what it promises, not how it keeps it.
//!
//! A store has two sides. The [`Journal`] belongs to the flusher's thread and takes whole transactions; the [`Shelf`]
//! answers reads beside it. Both sides of every backend pass one list of checks (`store/conformance.rs`).

#[cfg(test)]
pub(crate) mod conformance;
pub mod sqlite;

use std::sync::Arc;

use futures::future::BoxFuture;
use holdfast_storage::Failure;
use uuid::Uuid;

use crate::domain::{
    Address, Edition, Ended, EpochId, Epochs, Fence, Micros, Partition, RecordId, Seq, ShardId, Trail, Vector,
};

/// One record's part of a write.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where.
    pub address: Address,
    /// What it becomes.
    pub edition: Arc<Edition>,
    /// Whether the store has no row for this record yet.
    pub creates: bool,
}

/// One entry of a shard's log: taken whole or not at all.
#[derive(Debug)]
pub enum Step {
    /// The writes of one Put, BatchPut or Delete. `marks`: the shard has CACHED writes from here on.
    Write {
        /// At least one.
        changes: Vec<Change>,
        /// How much a crash may lose from now on.
        marks: Option<Bound>,
    },
    /// A tombstone is forgotten: its vector goes into the shard's floor.
    Drop {
        /// Where.
        address: Address,
        /// The tombstone.
        edition: Arc<Edition>,
        /// The shard's floor with it.
        floor: Vector,
    },
    /// Everything CACHED is stored: a crash from here on loses nothing.
    Clean,
    /// Nothing: somebody waits until all before it is stored.
    Barrier,
}

/// The most that a crash can lose of one shard's CACHED writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Writes.
    pub writes: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The fence that counts in a scope from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceChange {
    /// Where.
    pub scope: FenceScope,
    /// The fence.
    pub fence: Fence,
}

/// Within what a fence rises: a session or a lone invocation of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FenceScope {
    /// Whose.
    pub tenant: Arc<str>,
    /// `session:NAME` or `invocation:ID`.
    pub name: Arc<str>,
}

/// Everything that one transaction takes to the store.
#[derive(Debug, Default)]
pub struct Flush {
    /// Whole prefixes of the shards' logs, each in its order.
    pub steps: Vec<(ShardId, Arc<Step>)>,
    /// Fences.
    pub fences: Vec<FenceChange>,
}

/// A flush that was not stored, as far as is known.
#[derive(Debug, Clone)]
pub struct Unstored {
    /// What went wrong.
    pub failure: Failure,
    /// Whether it may be stored all the same: ask [`Journal::flushes`] before going on.
    pub in_doubt: bool,
}

/// What a sweep of the history did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Where the next one starts; 0 at the end of the history.
    pub next: Seq,
    /// Rows removed.
    pub removed: usize,
}

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Editions of each record, the current one included.
    pub editions: u64,
    /// Those decided before this time go.
    pub horizon: Micros,
}

/// The writing side.
pub trait Journal: Send + 'static {
    /// Stores all of a flush in one transaction, durably, as number `flushes` + 1.
    ///
    /// # Errors
    /// Nothing of it is stored, unless it is in doubt.
    fn commit(&mut self, flushes: u64, flush: &Flush) -> Result<(), Unstored>;

    /// The number of the last stored flush: settles one that is in doubt.
    ///
    /// # Errors
    /// The store cannot be read either.
    fn flushes(&mut self) -> Result<u64, Failure>;

    /// Removes superseded history behind the retention, from `after` on, looking at `rows` rows at most.
    ///
    /// # Errors
    /// Nothing is removed.
    fn sweep_history(&mut self, after: Seq, rows: usize, keep: Retention) -> Result<Swept, Failure>;

    /// Forgets fences below the floor, and remembers the floor.
    ///
    /// # Errors
    /// Nothing is forgotten.
    fn sweep_fences(&mut self, floor: u64) -> Result<(), Failure>;

    /// Makes lost epochs count as folded.
    ///
    /// # Errors
    /// Nothing is folded.
    fn fold_epochs(&mut self, epochs: &[EpochId]) -> Result<(), Failure>;
}

/// A page of a partition.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Live records by key, in byte order.
    pub records: Vec<(Address, Arc<Edition>)>,
    /// Whether more follow.
    pub more: bool,
    /// The last flush that it shows.
    pub flushes: u64,
}

/// Which part of a partition.
#[derive(Debug, Clone)]
pub struct PageQuery {
    /// Whose records.
    pub partition: Partition,
    /// Only keys that begin so.
    pub prefix: String,
    /// Only keys behind this one.
    pub after: String,
    /// At most this many records …
    pub records: usize,
    /// … and about this many bytes.
    pub bytes: usize,
}

/// What a walk back through a record's history looks for.
#[derive(Debug, Clone)]
pub struct TrailQuery {
    /// The newest write to look at.
    pub from: Seq,
    /// The version at which it ends; `None`: at the record's first write.
    pub until: Option<Vector>,
    /// At most this many writes.
    pub most: usize,
}

/// The reading side. Every answer is of one moment.
pub trait Shelf: Send + Sync + 'static {
    /// The newest stored editions, tombstones included; `None` where there is none.
    fn editions(&self, addresses: Vec<Address>) -> BoxFuture<'_, Result<Vec<Option<Edition>>, Failure>>;

    /// Walks back through a record's history.
    fn trail(&self, query: TrailQuery) -> BoxFuture<'_, Result<Trail, Failure>>;

    /// The blind overwrite of a record with this id.
    fn blind_write(
        &self,
        record: RecordId,
        write_id: Uuid,
    ) -> BoxFuture<'_, Result<Option<crate::domain::Note>, Failure>>;

    /// A page of a partition.
    fn page(&self, query: PageQuery) -> BoxFuture<'_, Result<Page, Failure>>;

    /// The fence that counts in a scope.
    fn fence(&self, scope: FenceScope) -> BoxFuture<'_, Result<Option<Fence>, Failure>>;

    /// The highest fence below `horizon`.
    fn newest_fence_below(&self, horizon: u64) -> BoxFuture<'_, Result<Option<u64>, Failure>>;

    /// Tombstones decided before `horizon`, oldest first.
    fn tombstones(&self, horizon: Micros, most: usize) -> BoxFuture<'_, Result<Vec<Address>, Failure>>;
}

/// An epoch that was found to have ended with loss.
#[derive(Debug, Clone)]
pub struct LostEpoch {
    /// Which one.
    pub ended: Ended,
    /// Its dirty shards.
    pub shards: Vec<ShardId>,
    /// The most that may be gone, of all shards together.
    pub bound: Bound,
}

/// What a store knew when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The epochs, a new one begun where the last ended with loss.
    pub epochs: Epochs,
    /// By shard.
    pub floors: Vec<Vector>,
    /// The number of the last flush.
    pub flushes: u64,
    /// The newest place in the history.
    pub seq: Seq,
    /// The newest record number.
    pub record: RecordId,
    /// The oldest fence that is remembered.
    pub fence_floor: u64,
    /// What the last life may have lost.
    pub lost: Option<LostEpoch>,
}

/// A store, opened.
pub struct Opened {
    /// The writing side.
    pub journal: Box<dyn Journal>,
    /// The reading side.
    pub shelf: Arc<dyn Shelf>,
    /// What it knew.
    pub recovered: Recovered,
    /// The backend's name in metrics.
    pub backend: &'static str,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("backend", &self.backend).finish_non_exhaustive()
    }
}
