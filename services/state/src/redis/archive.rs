//! The port to the store behind a shared place of decision: what the decider asks of it beside what everybody reads
//! ([`Shelf`](crate::store::Shelf)).

mod postgres;

use std::sync::Arc;

use futures::future::BoxFuture;
use holdfast_storage::Failure;

use crate::{
    domain::{EpochId, Epochs, Fence, Seq, ShardId, Standing, Vector},
    place::{Identity, Logged, Trouble},
    store::{Bound, FenceScope, LostEpoch},
    write::Holder,
};

pub use postgres::InPostgres;

/// What one call comes to.
pub type Kept<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// Where it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// In the store itself.
    Store,
    /// In the place that has this life.
    Place(Identity),
}

/// What the store says of who decides: one row, and the standing of each shard.
#[derive(Debug, Clone)]
pub struct Deciding {
    /// The epoch that counts.
    pub epoch: EpochId,
    /// Who decides in it.
    pub who: Who,
    /// Whether it is on its end: nobody may believe in it for longer than they do already.
    pub draining: bool,
    /// What is known of all epochs.
    pub epochs: Arc<Epochs>,
    /// By shard, the version of every record that is not there. A tombstone is forgotten only when its floor has been known
    /// for longer than this may be believed.
    pub floors: Arc<Vec<Vector>>,
    /// Whether this is the server on which the epoch began; on any other nothing may be decided.
    pub same_server: bool,
    /// By shard.
    pub shards: Vec<ShardState>,
}

/// How a shard stands in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardState {
    /// The place of the last write that is stored.
    pub position: Seq,
    /// What may be lost of acknowledged CACHED writes.
    pub dirty: Option<Bound>,
}

/// Entries of a shard's log, to be stored behind what is.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// Whose log.
    pub shard: ShardId,
    /// The place behind which they stand; where the store is elsewhere, nothing of them is stored.
    pub after: Seq,
    /// Whole entries, in their order, without a gap.
    pub entries: Vec<Logged>,
    /// Marks the shard dirty by this bound with them.
    pub marks: Option<Bound>,
}

impl Prefix {
    /// About its size.
    pub fn bytes(&self) -> usize {
        let editions = self.entries.iter().flat_map(|entry| &entry.editions);
        editions.map(|(address, edition)| address.bytes() + edition.bytes()).sum()
    }

    /// The place of the last write in it.
    pub fn last(&self) -> Seq {
        let editions = self.entries.iter().flat_map(|entry| &entry.editions);
        editions.map(|(_, edition)| edition.seq).max().unwrap_or(self.after)
    }
}

/// What became of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// Whose it was.
    pub shard: ShardId,
    /// The place up to which the shard is stored now; `None`: another transaction works on it.
    pub position: Option<Seq>,
    /// Whether the store's row says, as of that place, that the shard is dirty.
    pub dirty: bool,
}

/// Why nothing of a flush was stored.
#[derive(Debug, Clone)]
pub enum Unflushed {
    /// The epoch is over.
    Ended,
    /// The store is in trouble. Whether it is stored all the same shows at the next try: each goes by the position.
    Failed(Failure),
}

/// A change of epochs that is stored.
#[derive(Debug)]
pub struct Switched {
    /// The new one.
    pub epoch: EpochId,
    /// What the old one may have lost.
    pub lost: Option<LostEpoch>,
}

/// Opens the new epoch's shards in its place, each with its last place, before the store says that it decides.
pub type Open<'a> = Box<dyn FnOnce(EpochId, Vec<(ShardId, Seq)>) -> BoxFuture<'a, Result<(), Trouble>> + Send + 'a>;

/// The store, as a decider in front of it needs it. Each call is one transaction.
pub trait Archive: Send + Sync + 'static {
    /// Who decides.
    fn deciding(&self) -> Kept<'_, Deciding>;

    /// Says that an epoch is on its end, where it still counts.
    fn drain(&self, epoch: EpochId) -> Kept<'_, ()>;

    /// Stores prefixes of logs, each whole or not at all, under the locks of their shards: only while the epoch counts, and
    /// only right behind what is stored.
    fn flush(&self, epoch: EpochId, prefixes: Vec<Prefix>) -> BoxFuture<'_, Result<Vec<Flushed>, Unflushed>>;

    /// Marks a shard clean, where the epoch counts and the shard is stored up to exactly this place.
    fn clean(&self, epoch: EpochId, shard: ShardId, at: Seq) -> Kept<'_, bool>;

    /// Ends an epoch and begins the next, under the locks of all shards: with loss where a shard is dirty, or where this is
    /// another server than the one on which it began. `None`: it had ended already.
    fn switch<'a>(&'a self, from: EpochId, to: Who, open: Open<'a>) -> Kept<'a, Option<Switched>>;

    /// Makes a lease's fence the one that counts in its scope, or finds that it does; then notes that a shard gets a copy.
    /// Answers which shards have copies in this epoch, or that the lease is refused. `None`: the epoch is over.
    fn confirm_fence<'a>(
        &'a self,
        epoch: EpochId,
        holder: &'a Holder,
        copy: Option<ShardId>,
    ) -> Kept<'a, Option<Result<Vec<ShardId>, Standing>>>;

    /// Ends every lease of a scope up to a fence. Answers the fence that counts, and which shards have copies of it in this
    /// epoch. `None`: the epoch is over.
    fn raise_fence<'a>(
        &'a self,
        epoch: EpochId,
        scope: &'a FenceScope,
        number: u64,
    ) -> Kept<'a, Option<(Fence, Vec<ShardId>)>>;
}
