//! The port to the persistent store: what it promises, not how it keeps it.
//!
//! A store has two sides. The [`Journal`] belongs to the flusher's thread and takes whole transactions; the [`Shelf`]
//! answers reads beside it. Both sides of every backend pass one list of checks (`store/conformance.rs`).

#[cfg(test)]
pub(crate) mod conformance;
mod flush;
mod held_up;
pub mod postgres;
pub mod sqlite;

use std::sync::Arc;

use futures::future::BoxFuture;
use holdfast_storage::Failure;
use uuid::Uuid;

use crate::domain::{
    Address, Edition, Ended, EpochId, Epochs, Fence, Micros, Partition, RecordId, Seq, ShardId, Trail, Vector,
};

pub use flush::{Bound, Change, FenceChange, FenceScope, Flush, Step};
pub use held_up::HeldUp;

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

/// Which part of a record's history.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Whose.
    pub address: Address,
    /// Only writes before this place; `None`: from the newest on.
    pub before: Option<Seq>,
    /// At most this many …
    pub editions: usize,
    /// … and about this many bytes.
    pub bytes: usize,
}

/// Which changes of a partition.
#[derive(Debug, Clone)]
pub struct ChangesQuery {
    /// Of which partition.
    pub partition: Partition,
    /// Only those behind this place; `None` asks only where the newest is.
    pub after: Option<Seq>,
    /// At most so many rows of the shard's history are looked at …
    pub rows: usize,
    /// … and about so many bytes returned.
    pub bytes: usize,
}

/// What changed in a partition.
#[derive(Debug, Clone)]
pub enum Changes {
    /// These, in their order.
    Here {
        /// Hidden records included.
        changes: Vec<(Address, Arc<Edition>)>,
        /// Where the next query goes on.
        until: Seq,
        /// Whether more is there already.
        more: bool,
        /// The last flush that it shows.
        flushes: u64,
    },
    /// The history does not go back so far.
    Cut,
}

/// What a walk back through a record's history looks for.
#[derive(Debug, Clone)]
pub struct TrailQuery {
    /// The record's shard.
    pub shard: ShardId,
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

    /// A record's history, newest first.
    fn history(&self, query: HistoryQuery) -> BoxFuture<'_, Result<Vec<Edition>, Failure>>;

    /// The edition with this version, as far as the history is kept.
    fn edition_at(&self, address: Address, vector: Vector) -> BoxFuture<'_, Result<Option<Edition>, Failure>>;

    /// What changed in a partition.
    fn changes(&self, query: ChangesQuery) -> BoxFuture<'_, Result<Changes, Failure>>;

    /// Live records that expire before `now`, with their versions.
    fn expired(&self, now: Micros, most: usize) -> BoxFuture<'_, Result<Vec<(Address, Vector)>, Failure>>;

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
