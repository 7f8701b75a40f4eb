//! The port to a place of decision that processes share, in front of the persistent store: a Redis, or for the simulation a
//! model of one.
//!
//! A shard's part of it holds records, each with what is *visible* and what is decided on top of it (the *tip*); a log of
//! what is decided and not stored; copies of fences; and tickets. Each call below is one step that nothing comes in between
//! of. All of it belongs to one epoch: what another epoch left there does not exist, and a call for an epoch that is not open
//! there is answered [`Trouble::Closed`].

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(any(test, feature = "planted-faults"))]
pub mod model;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use holdfast_storage::Failure;

use crate::{
    domain::{Address, Edition, EpochId, Fence, Seq, ShardId},
    store::{Bound, FenceScope},
};

/// What one call comes to.
pub type Told<'p, T> = BoxFuture<'p, Result<T, Trouble>>;

/// Why a place did not do it.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It does not answer, or says what it should not. What was asked may have happened where `in_doubt`.
    Away {
        /// What went wrong.
        failure: Failure,
        /// Whether a write may have been decided.
        in_doubt: bool,
    },
    /// It is another life of it than was accepted, or the epoch is not open there.
    Closed,
}

/// Which life of a place this is: what changes with a restart (`run`) and what changes with a failover (`lineage`), for each
/// master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(pub String);

/// What a place knows of a record.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Nothing: it is to be filled from the store.
    Missing,
    /// This.
    Here {
        /// What readers see; `None`: there is no such record.
        visible: Option<Arc<Edition>>,
        /// What is decided and not stored yet, on top of that.
        tip: Option<Arc<Edition>>,
    },
}

/// One record's part of a write, with the state that it was judged by.
#[derive(Debug, Clone)]
pub struct Move {
    /// Where.
    pub address: Address,
    /// The place of the newest edition (tip or visible) on which this one stands; 0 where there is none. Anything else there,
    /// and nothing is taken.
    pub expected: Seq,
    /// What it becomes; its `seq` and `previous` are given by the place.
    pub edition: Edition,
}

/// A write that is judged, to be taken if nothing has changed since.
#[derive(Debug, Clone)]
pub struct Moves {
    /// All of one shard; taken together or not at all.
    pub moves: Vec<Move>,
    /// The record and revision of a lock that must still be held.
    pub guard: Option<(Address, u64)>,
    /// The fence that must be this lease's.
    pub fence: Option<(FenceScope, Fence)>,
    /// Whether it may be visible at once (CACHED). Refused ([`Taken::Full`]) past the window or the one that the shard is
    /// armed with ([`Place::arm`]), while it is not armed, and on top of a tip, which its version would reveal.
    pub cached: bool,
    /// The window on CACHED writes of this shard that are not stored.
    pub window_writes: u64,
    /// In bytes.
    pub window_bytes: u64,
    /// How old the oldest of them may be, by the place's own clock.
    pub window_age: Duration,
    /// The most bytes of this shard that may not be stored, DURABLE writes included; one write is always let through.
    pub unstored_bytes: u64,
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum Taken {
    /// Decided; the places given to its editions, in their order, the last of which ends its entry in the log.
    Taken(Vec<Seq>),
    /// A record or the lock is not as expected, or not there: look again.
    Changed,
    /// The copy of the fence is missing or lower: fill it from its home.
    FenceUnknown,
    /// Another lease's fence counts.
    Fenced,
    /// The window is full, the shard is not armed, or a record has a tip: to be asked for again as DURABLE.
    Full,
    /// Too much of the shard is not stored: to be asked for again when some of it is.
    Crowded,
}

impl Move {
    /// What it counts in the window, and about what it takes in the place.
    pub fn bytes(&self) -> u64 {
        (self.address.bytes() + self.edition.bytes()) as u64
    }
}

/// One entry of a shard's log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its editions, with their places.
    pub editions: Vec<(Address, Arc<Edition>)>,
    /// Whether it was acknowledged as CACHED.
    pub cached: bool,
}

/// What is left of an epoch's log.
#[derive(Debug, Clone, Default)]
pub struct Survivors {
    /// The last place that was given, where the shard was open until it was asked for these: here, or when they were asked
    /// for before. `None`: it may have given more, for it was closed because something was amiss, or is not there.
    pub reached: Option<Seq>,
    /// The entries.
    pub entries: Vec<Logged>,
}

/// The right to install what the store had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(pub Bytes);

/// Where a shard's log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The last place given.
    pub decided: Seq,
    /// The last place that is stored and visible.
    pub stored: Seq,
    /// CACHED writes that are not stored, each record of a batch counted, and their bytes ([`Move::bytes`]).
    pub dirty: (u64, u64),
}

/// The place. Every implementation passes one list of checks (`place/conformance.rs`).
pub trait Place: Send + Sync + 'static {
    /// Which life of it answers now. Every new connection asks this before anything else.
    fn identity(&self) -> Told<'_, Identity>;

    /// From now on calls of this process are for this life of it. Under any other, and before this is called first, every
    /// call but [`Self::identity`] is [`Trouble::Closed`].
    fn accept(&self, identity: &Identity);

    /// Opens a shard for an epoch, empty, with the store's last place. Nothing happens where the epoch has been opened
    /// there before, even if it is closed since: a call that was delayed on the way undoes nothing. Other epochs are left
    /// as they are, so that one who comes late to a change of epochs does no harm; [`Self::clear`] removes them.
    fn open(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()>;

    /// Closes a shard: an epoch takes nothing any more.
    fn close(&self, shard: ShardId, epoch: EpochId) -> Told<'_, ()>;

    /// What is left of an epoch's log behind a place, in its order, about so many bytes at most but one entry at least;
    /// empty where nothing is. Closes the epoch, so that nothing comes behind what was asked for.
    fn survivors(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Survivors>;

    /// The same of an epoch that is over, open or closed: changes nothing, and does not count as asked for.
    fn set_aside(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>>;

    /// Throws away what all epochs but this one left in a shard, except for logs that [`Self::survivors`] was never asked
    /// for: those are kept for a while, and their epochs are named. Only for who knows that this epoch decides; closed, it
    /// throws nothing away.
    fn clear(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Vec<EpochId>>;

    /// Records of one shard.
    fn look<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Seen>>;

    /// Takes a write if nothing has changed.
    fn take<'p>(&'p self, shard: ShardId, epoch: EpochId, moves: &'p Moves) -> Told<'p, Taken>;

    /// Leaves a ticket for each record that is missing, or joins the one that is there. While a ticket is there, its record
    /// has been missing since it was left: what the store had at any time between is what it has now. There is a bound on
    /// tickets; one that is dropped is asked for again.
    fn tickets<'p>(&'p self, shard: ShardId, epoch: EpochId, addresses: &'p [Address]) -> Told<'p, Vec<Ticket>>;

    /// Installs what the store had, where the ticket is still there and the record still missing, and takes the ticket
    /// away. None of the records that are installed together makes place for another of them.
    fn install<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        found: &'p [(Address, Ticket, Option<Arc<Edition>>)],
    ) -> Told<'p, ()>;

    /// The entries of the log behind a place, about so many bytes at most but one entry at least.
    fn log(&self, shard: ShardId, epoch: EpochId, after: Seq, bytes: usize) -> Told<'_, Vec<Logged>>;

    /// Everything up to a place, which ends an entry, is stored: tips up to it become visible, its entries leave the log.
    /// Never goes back. A place that was never given here says that this is not the life it was given in: the epoch is
    /// closed.
    fn mark(&self, shard: ShardId, epoch: EpochId, stored: Seq) -> Told<'_, ()>;

    /// Says by which bound the store's row of the shard is marked dirty, if it is, as of the place `at` up to which it is
    /// stored; a shard that is just opened is not armed. CACHED writes are taken in an armed shard only, within the bound,
    /// so that no more is lost than the row says. News older than what was told
    /// last (`at` is below its, or equal and `armed`) change nothing; a shard with CACHED writes that are not stored is
    /// never disarmed. Returns whether it is as told now. So a mark that is cleared and one that is set again can cross
    /// on the way, and no CACHED write is taken in a shard that the store believes clean.
    fn arm(&self, shard: ShardId, epoch: EpochId, at: Seq, armed: Option<Bound>) -> Told<'_, bool>;

    /// Where the log stands.
    fn standing(&self, shard: ShardId, epoch: EpochId) -> Told<'_, Standing>;

    /// Leaves a ticket for a fence's copy.
    fn fence_ticket<'p>(&'p self, shard: ShardId, epoch: EpochId, scope: &'p FenceScope) -> Told<'p, Ticket>;

    /// Installs a fence's copy, where the ticket is still there.
    fn install_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        ticket: &'p Ticket,
        fence: &'p Fence,
    ) -> Told<'p, ()>;

    /// Replaces a fence's copy by a newer one (never by an older; an equal one that nobody holds is newer), and voids
    /// its tickets. There is a bound on copies; one that is dropped is asked for again.
    fn raise_fence<'p>(
        &'p self,
        shard: ShardId,
        epoch: EpochId,
        scope: &'p FenceScope,
        fence: &'p Fence,
    ) -> Told<'p, ()>;
}
