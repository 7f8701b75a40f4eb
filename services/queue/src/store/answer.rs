//! What became of it.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::invocation::{Accepted, Payload, Status};
use crate::domain::record::{Live, PastEnd, Try};
use crate::domain::schedule::Place;
use crate::domain::time::Micros;
use crate::domain::transition::Step;
use crate::store::shared::{Candidate, KeptLease};

/// What became of a command.
#[derive(Debug)]
pub enum Answer {
    /// Of [`Command::Accept`].
    Accepted(Acceptance),
    /// Of [`Command::Claim`]; none when it does not wait, or others of its session come first.
    Claimed(Option<Box<Claimed>>),
    /// Of [`Command::Settle`].
    Settled(Box<Settlement>),
    /// Of [`Command::Adopt`]: the lease as it is now; none when it was not whose it had to be.
    Adopted(Option<Box<KeptLease>>),
    /// Of [`Command::Tell`]: the event's offset.
    Told(Result<u64, Gone>),
    /// Of [`Command::ForgetRaises`].
    Forgotten,
    /// Of [`Command::Promote`]: what is ready now.
    Promoted(Vec<Candidate>),
    /// Of [`Command::Redrive`](super::Command::Redrive).
    Redriven(Box<Redriven>),
    /// Of [`Command::Discard`](super::Command::Discard): how many of the rows named are gone now.
    Discarded(usize),
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
        /// Where it stands, when it is ready in a store that processes share.
        ready: Option<Box<Candidate>>,
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
    /// Ends before this one, after which it was redriven.
    pub past_ends: Vec<PastEnd>,
}

/// What became of a redrive.
#[derive(Debug)]
pub enum Redriven {
    /// It waits again.
    Now {
        /// What was asked, with its new deadline.
        accepted: Arc<Accepted>,
        /// Its place in the order of acceptance: the old one.
        seq: i64,
        /// Its place at the end of its session.
        place: Option<Place>,
        /// Where it stands, when it is ready in a store that processes share.
        ready: Option<Box<Candidate>>,
    },
    /// The same call did it before.
    Before,
    /// It does not.
    Refused(NotRedriven),
}

/// Why an invocation is not redriven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRedriven {
    /// There is no such invocation.
    Unknown,
    /// It stands otherwise: it waits, runs, has succeeded, or ended in a state that was not asked for.
    Is(Status),
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
        /// The ends in it after which it was redriven.
        past_ends: Vec<PastEnd>,
        /// What this made ready (itself, or the next of its session) in a store that processes share.
        ready: Vec<Candidate>,
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
