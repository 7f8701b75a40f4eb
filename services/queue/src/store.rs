//! The port to the store: what it promises, not how it is kept.
//!
//! Commands are answered once they are durable, in batches that became durable together. Each command compares and sets:
//! it takes effect only on the standing that it names. Reads see what was committed.

#[cfg(any())]
mod conformance;
pub mod sqlite;

use std::sync::Arc;

use futures::future::BoxFuture;
use holdfast_storage::Failure as StoreFailure;
use uuid::Uuid;

use crate::domain::event::{Event, Report};
use crate::domain::invocation::{Accepted, Failure, Live, Payload, Phase, Record, Status, Try, Usage};
use crate::domain::schedule::Place;
use crate::domain::time::Micros;
use crate::domain::transition::{Grant, Step};

/// Something to be made durable.
#[derive(Debug)]
pub enum Command {
    /// Accept an invocation.
    Accept(Box<Accept>),
    /// Give a waiting invocation to a worker.
    Claim(Box<Claim>),
    /// End a lease, an invocation, or both.
    Settle(Box<Settle>),
    /// Move a lease to another stream.
    Adopt(Adopt),
    /// Add an event to a running invocation.
    Tell(Box<Tell>),
    /// State has been told of these fences.
    ForgetRaises(Vec<i64>),
}

/// A new invocation.
#[derive(Debug)]
pub struct Accept {
    /// What is asked.
    pub accepted: Arc<Accepted>,
    /// The input.
    pub payload: Payload,
    /// The payload's SHA-256, where there is an idempotency key.
    pub digest: Option<[u8; 32]>,
}

/// A lease to be granted.
#[derive(Debug)]
pub struct Claim {
    /// The invocation.
    pub id: Uuid,
    /// To whom.
    pub grant: Grant,
    /// The time to record.
    pub now: Micros,
    /// Whether the answer must carry what was asked: the caller does not have it at hand.
    pub with_input: bool,
}

/// An end.
#[derive(Debug)]
pub struct Settle {
    /// The invocation.
    pub id: Uuid,
    /// The time to record.
    pub now: Micros,
    /// What ends, and how.
    pub change: Change,
}

/// How a lease or an invocation ends.
#[derive(Debug)]
pub enum Change {
    /// The holder has the result.
    Complete {
        /// Its lease.
        lease: Uuid,
        /// The answer.
        result: Payload,
        /// Model tokens used.
        usage: Usage,
    },
    /// The holder failed.
    Fail {
        /// Its lease.
        lease: Uuid,
        /// Why.
        failure: Failure,
        /// Model tokens used.
        usage: Usage,
        /// Evenly drawn from 0 to 1.
        jitter: f64,
    },
    /// The holder hands it back.
    Release {
        /// Its lease.
        lease: Uuid,
    },
    /// The holder is gone.
    Lose {
        /// Its lease.
        lease: Uuid,
        /// The stream that the lease must still belong to.
        stream: Option<Uuid>,
        /// Lost leases that end an invocation.
        lost_max: u32,
    },
    /// A caller ends it.
    Cancel {
        /// The tenant that it must belong to.
        tenant: Option<Arc<str>>,
        /// Why.
        why: String,
    },
    /// Its deadline has passed.
    Expire,
}

/// A lease that moves to another stream.
#[derive(Debug)]
pub struct Adopt {
    /// The invocation.
    pub id: Uuid,
    /// The lease.
    pub lease: Uuid,
    /// The stream that the lease must still belong to.
    pub from: Option<Uuid>,
    /// The stream that it shall belong to.
    pub to: Uuid,
}

/// Something that a worker tells.
#[derive(Debug)]
pub struct Tell {
    /// The invocation.
    pub id: Uuid,
    /// The worker's lease.
    pub lease: Uuid,
    /// The time to record.
    pub now: Micros,
    /// What.
    pub report: Report,
    /// How much is kept for one invocation.
    pub keep: Keep,
}

/// How many reports of one invocation are kept; older ones make room, in steps.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Reports.
    pub items: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What became of a command.
#[derive(Debug)]
pub enum Answer {
    /// Of [`Command::Accept`].
    Accepted(Acceptance),
    /// Of [`Command::Claim`]; none when it does not wait, or others of its session come first.
    Claimed(Option<Box<Claimed>>),
    /// Of [`Command::Settle`].
    Settled(Box<Settlement>),
    /// Of [`Command::Adopt`]: whether the lease was still that stream's.
    Adopted(bool),
    /// Of [`Command::Tell`]: the event's offset.
    Told(Result<u64, Gone>),
    /// Of [`Command::ForgetRaises`].
    Forgotten,
}

/// What became of a new invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It is there.
    Created {
        /// Its place in the order of acceptance: rises.
        seq: i64,
        /// Its place in its session.
        place: Option<Place>,
    },
    /// Its idempotency key named another one before.
    Existing {
        /// The first one.
        id: Uuid,
        /// Whether the payload is the same.
        same: bool,
    },
}

/// A granted lease.
#[derive(Debug)]
pub struct Claimed {
    /// How it stands.
    pub live: Live,
    /// What was asked, where the claim wanted it.
    pub input: Option<(Arc<Accepted>, Payload)>,
    /// Tries before this one.
    pub tries: Vec<Try>,
}

/// What became of an end.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an answer keeps it in a box")]
pub enum Settlement {
    /// It took effect.
    Now {
        /// What follows.
        step: Step,
        /// The history of an invocation that is over now.
        tries: Vec<Try>,
    },
    /// The same lease (or caller) ended it so before: the first answer.
    Before {
        /// What the invocation became then.
        status: Status,
        /// When.
        at: Micros,
        /// When the next attempt could begin.
        next_at: Option<Micros>,
    },
    /// It did not.
    Refused(Gone),
}

/// Why a lease, or an invocation, cannot be ended by who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// There is no such invocation.
    Unknown,
    /// The lease is not in force.
    LeaseLost,
    /// A caller ended it.
    Cancelled,
    /// Its deadline passed.
    DeadlinePassed,
    /// It has ended otherwise.
    Ended(Status),
}

/// An invocation that has not ended, as a start finds it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its id.
    pub id: Uuid,
    /// Its place in the order of acceptance.
    pub seq: i64,
    /// Its place in its session.
    pub place: Option<Place>,
    /// Whose it is.
    pub tenant: String,
    /// The session's name.
    pub session: Option<String>,
    /// The agent type.
    pub agent: String,
    /// Higher goes first.
    pub priority: i32,
    /// Not after.
    pub deadline: Option<Micros>,
    /// When it was accepted.
    pub accepted_at: Micros,
    /// The payload's size.
    pub bytes: usize,
    /// Attempts begun.
    pub attempt: u32,
    /// Waiting or running.
    pub phase: Phase,
}

/// Which invocations a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this agent type.
    pub agent: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// In these states; none means all.
    pub statuses: Vec<Status>,
    /// Accepted before this one.
    pub before: Option<i64>,
    /// At most.
    pub limit: usize,
}

/// Events from an offset on.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// By rising offset.
    pub events: Vec<Event>,
    /// Whether the last one is the end.
    pub ended: bool,
}

/// A fence that state must be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// Its place in the outbox.
    pub raise: i64,
    /// Whose it is.
    pub tenant: String,
    /// What it is the fence of.
    pub scope: RaiseScope,
    /// Leases up to this one are over.
    pub fence: u64,
}

/// What a fence is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RaiseScope {
    /// A session.
    Session(String),
    /// A lone invocation.
    Invocation(Uuid),
}

/// Answers that became durable together, each with the tag of its command.
pub type Batch<T> = holdfast_storage::Batch<T, Answer>;

/// The store. `T` is the tag by which its user knows commands again.
pub trait Store<T>: Send + Sync + 'static {
    /// Takes commands, all or none. Their answers come in the batches that the store delivers, in the order of commits.
    ///
    /// # Errors
    /// The commands and the reason, when too many wait or the store is closed.
    fn submit(&self, commands: Vec<(T, Command)>) -> Result<(), (Vec<(T, Command)>, StoreFailure)>;

    /// One invocation, of a tenant or of any.
    fn get(
        &self,
        id: Uuid,
        tenant: Option<String>,
        with_payload: bool,
    ) -> BoxFuture<'_, Result<Option<Record>, StoreFailure>>;

    /// A page, newest first, each with its place in the order of acceptance.
    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<(i64, Record)>, StoreFailure>>;

    /// The events of an invocation from an offset on, at most so many; none when it is not there.
    fn history(
        &self,
        id: Uuid,
        tenant: Option<String>,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Option<History>, StoreFailure>>;

    /// The first invocation of an idempotency key, and whether its payload had this digest.
    fn by_key(
        &self,
        tenant: Arc<str>,
        agent: Arc<str>,
        key: String,
        digest: [u8; 32],
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, StoreFailure>>;

    /// Everything that has not ended, by acceptance.
    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, StoreFailure>>;

    /// Fences that state must still be told of, oldest first.
    fn raises(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Raise>, StoreFailure>>;
}
