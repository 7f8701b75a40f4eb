//! What the store is asked to make durable.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::event::Report;
use crate::domain::invocation::{Accepted, Failure, Payload, Status, Usage};
use crate::domain::time::Micros;
use crate::domain::transition::Grant;
use crate::store::found::Litter;
use crate::store::shared::{ReadyKey, WriterId};

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
    /// The time of these delayed ones has come (only where processes share the store).
    Promote(Vec<Uuid>),
    /// Let an ended invocation run again.
    Redrive(Box<Redrive>),
    /// Remove what a sweep has found.
    Discard(Discard),
}

/// What a command takes beside what its user gave, roughly.
const COMMAND_BYTES: usize = 512;

impl Command {
    /// Bytes that it takes while it waits, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let given = match self {
            Self::Accept(accept) => accept.payload.data.len(),
            Self::Settle(settle) => match &settle.change {
                Change::Complete { result, .. } => result.data.len(),
                Change::Fail { failure, .. } => failure.message.len(),
                Change::Cancel { why, .. } => why.len(),
                Change::Release { .. } | Change::Lose { .. } | Change::Expire => 0,
            },
            Self::Tell(tell) => tell.report.size(),
            Self::ForgetRaises(raises) => raises.len() * size_of::<i64>(),
            Self::Promote(ids) => ids.len() * size_of::<Uuid>(),
            Self::Discard(discard) => discard.rows.len() * size_of::<i64>(),
            Self::Claim(_) | Self::Adopt(_) | Self::Redrive(_) => 0,
        };
        COMMAND_BYTES + given
    }
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
    /// Whether somebody at this process waits for its end.
    pub awaited: bool,
    /// A key is free again whose invocation has ended and was accepted before this time.
    pub keys_since: Micros,
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
    /// Where it stood, where the store said so.
    pub ready: Option<ReadyKey>,
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

/// A lease that moves to another stream, or to another process: this one keeps it from then on.
#[derive(Debug)]
pub struct Adopt {
    /// The invocation.
    pub id: Uuid,
    /// The lease.
    pub lease: Uuid,
    /// Whose it must still be.
    pub from: AdoptFrom,
    /// The stream that it shall belong to; none leaves it at its stream.
    pub to: Option<Uuid>,
}

/// Whose a lease must be that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptFrom {
    /// A stream's, or no stream's.
    Stream(Option<Uuid>),
    /// Kept by this process.
    Keeper(WriterId),
    /// Anybody's: its holder shows its token at another process than before.
    Anyone,
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

/// An invocation that shall run again: it goes to the end of its session, keeps its id and its history, and counts its
/// attempts anew.
#[derive(Debug)]
pub struct Redrive {
    /// The invocation.
    pub id: Uuid,
    /// The tenant that it must belong to.
    pub tenant: Option<Arc<str>>,
    /// Names the call: its repeat gets its first answer.
    pub redrive: Uuid,
    /// The states in which it must have ended; no success is among them.
    pub statuses: Vec<Status>,
    /// The work's new end, in the place of the old one; none lifts it.
    pub deadline: Option<Micros>,
    /// When it may run: now, or at the submission's own not-before where that is later.
    pub ready_at: Micros,
    /// The time to record.
    pub now: Micros,
}

/// What a sweep has found, to be removed with all that belongs to it. What does not hold any more (it was redriven, it has
/// a new member) stays.
#[derive(Debug)]
pub struct Discard {
    /// Of what.
    pub litter: Litter,
    /// As in the sweep.
    pub before: Micros,
    /// As the sweep found them.
    pub rows: Vec<i64>,
}
