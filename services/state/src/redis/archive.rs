//! The port to the store behind a shared place of decision: what the decider asks of it beside what everybody reads
//! ([`Shelf`](crate::store::Shelf)).

mod postgres;

use std::{sync::Arc, time::Duration};

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
    /// The epochs that ended with loss, by when; as long as their versions are told apart.
    pub losses: Arc<Vec<LostEpoch>>,
    /// The longest that any process believes in the epoch after a look: who ends it waits as long.
    pub lease: Duration,
    /// By shard, the version of every record that is not there. A tombstone is forgotten only when its floor has been known
    /// for longer than this may be believed.
    pub floors: Arc<Vec<Vector>>,
    /// The oldest fence that is remembered. Fences are forgotten only when their floor has been known for longer than this may
    /// be believed.
    pub fence_floor: u64,
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

    /// Takes away what does not follow its place, and what comes behind that; whether there was any.
    pub fn cut_at_gap(&mut self) -> bool {
        let (all, mut next) = (self.entries.len(), self.after + 1);
        let follows = |entry: &&Logged| {
            let begins = next;
            next += entry.editions.len() as Seq;
            entry.editions.iter().map(|(_, edition)| edition.seq).eq(begins..next)
        };
        let whole = self.entries.iter().take_while(follows).count();
        self.entries.truncate(whole);
        whole < all
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
    /// By which bound the store's row says, as of that place, that the shard is dirty, if it is.
    pub dirty: Option<Bound>,
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

    /// Says how long this process is going to believe in an epoch after a look, before it does: where it still counts, and is
    /// not on its end.
    fn believe(&self, epoch: EpochId, lease: Duration) -> Kept<'_, ()>;

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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Address, Edition, Writer};

    fn entry(places: &[Seq]) -> Logged {
        let edition = |seq: Seq| Edition {
            record: 0,
            seq,
            previous: 0,
            revision: 1,
            vector: Vector::default(),
            value: None,
            writer: Writer { write_id: Uuid::nil(), invocation_id: "".into(), time: 0 },
            blind: false,
            expires: None,
        };
        let address = || Address::new("acme", "n", "p", "k").expect("a name");
        Logged { editions: places.iter().map(|seq| (address(), Arc::new(edition(*seq)))).collect(), cached: false }
    }

    #[test]
    fn what_comes_behind_a_gap_is_taken_away() {
        let cases: [(&[&[Seq]], usize); 5] =
            [(&[&[6], &[7, 8]], 2), (&[&[7], &[8]], 0), (&[&[6], &[8]], 1), (&[&[6], &[7, 9], &[10]], 1), (&[], 0)];
        for (log, whole) in cases {
            let entries: Vec<_> = log.iter().copied().map(entry).collect();
            let shard = ShardId::all().next().expect("there is one");
            let mut prefix = Prefix { shard, after: 5, entries, marks: None };
            assert_eq!((prefix.cut_at_gap(), prefix.entries.len()), (whole < log.len(), whole), "{log:?}");
        }
    }
}
