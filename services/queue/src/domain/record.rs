//! Where an invocation stands, and what became of its leases.

use std::sync::Arc;

use uuid::Uuid;

use super::invocation::{Accepted, Failure, Lease, Payload, Status, Usage};
use super::time::Micros;

/// Waiting or running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// For a worker, a time, or its session's turn.
    Queued {
        /// Not before.
        next_at: Option<Micros>,
    },
    /// By the holder of this lease.
    Leased(Lease),
}

/// Where an invocation stands that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Waiting or running.
    pub phase: Phase,
    /// Attempts begun, lost and returned leases not counted.
    pub attempt: u32,
    /// Leases lost.
    pub lost: u32,
    /// Events so far: the last one's offset.
    pub events: u64,
    /// The last lease's fence; 0 before the first.
    pub fence: u64,
    /// The highest fence of a lease that its holder did not give up: someone may still act under it.
    pub loose_fence: Option<u64>,
    /// Leases that ended without ending the invocation (or ended it by a failure): rows of history.
    pub tries: u32,
    /// When the last attempt began.
    pub started_at: Option<Micros>,
    /// How often it was redriven: rows of history.
    pub redrives: u32,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a result.
    Succeeded(Payload),
    /// By an error or its deadline.
    Failed(Failure),
    /// By a caller.
    Cancelled(Failure),
    /// Out of attempts.
    Dead(Failure),
}

impl Outcome {
    /// The state that it stands for.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Succeeded(_) => Status::Succeeded,
            Self::Failed(_) => Status::Failed,
            Self::Cancelled(_) => Status::Cancelled,
            Self::Dead(_) => Status::Dead,
        }
    }

    /// Why it did not succeed.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Succeeded(_) => None,
            Self::Failed(failure) | Self::Cancelled(failure) | Self::Dead(failure) => Some(failure),
        }
    }
}

/// Where an invocation stands that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub at: Micros,
    /// Attempts begun.
    pub attempt: u32,
    /// Leases lost.
    pub lost: u32,
    /// The offset of the last event.
    pub event: u64,
    /// The lease under which it ended; none when it ended while it waited.
    pub lease: Option<Lease>,
    /// When the last attempt began.
    pub started_at: Option<Micros>,
    /// Model tokens, as the worker reported.
    pub usage: Usage,
}

/// An end after which it was redriven. The event after it is that of the redrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEnd {
    /// How it had ended, without success.
    pub ended: Ended,
    /// When it was redriven.
    pub redriven_at: Micros,
    /// By which call.
    pub redrive: Uuid,
}

impl PastEnd {
    /// The offset of the event of the redrive.
    #[must_use]
    pub const fn redrive_event(&self) -> u64 {
        self.ended.event + 1
    }
}

/// A lease that ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// Which attempt it was.
    pub attempt: u32,
    /// The lease.
    pub lease: Lease,
    /// When it ended.
    pub ended_at: Micros,
    /// The offset of the event of its end.
    pub event: u64,
    /// How it ended.
    pub kind: TryKind,
    /// What the invocation became.
    pub became: Status,
    /// When the next attempt may begin.
    pub next_at: Option<Micros>,
}

/// How a lease ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryKind {
    /// The worker reported a failure.
    Failed(Failure),
    /// The worker was lost.
    Lost(Failure),
    /// The worker handed it back.
    Released,
}

impl TryKind {
    /// Whether it uses up one of the caller's attempts: a crash of ours must not.
    #[must_use]
    pub const fn counts(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Why, where it was not handed back.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Lost(failure) => Some(failure),
            Self::Released => None,
        }
    }
}

/// Running, waiting or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not ended.
    Live(Live),
    /// Ended.
    Ended(Ended),
}

impl Standing {
    /// The state.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Live(Live { phase: Phase::Queued { .. }, .. }) => Status::Queued,
            Self::Live(_) => Status::Leased,
            Self::Ended(ended) => ended.outcome.status(),
        }
    }
}

/// What an attempt takes beside its message, roughly.
const TRY_BYTES: usize = 256;

/// An invocation, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What was asked.
    pub accepted: Arc<Accepted>,
    /// The input, where it was read too.
    pub payload: Option<Payload>,
    /// Where it stands.
    pub standing: Standing,
    /// Leases that ended without a result, oldest first.
    pub tries: Vec<Try>,
    /// Ends after which it was redriven, oldest first.
    pub past_ends: Vec<PastEnd>,
}

impl Record {
    /// Bytes of what may be large in it: its input and its result, what went wrong, its labels and its policy.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tried = self.tries.iter().filter_map(|tried| tried.kind.failure());
        let past = self.past_ends.iter().filter_map(|past| past.ended.outcome.failure());
        let (result, failure) = match &self.standing {
            Standing::Ended(Ended { outcome: Outcome::Succeeded(result), .. }) => (result.data.len(), None),
            Standing::Ended(ended) => (0, ended.outcome.failure()),
            Standing::Live(_) => (0, None),
        };
        let failures: usize = tried.chain(past).chain(failure).map(|failure| TRY_BYTES + failure.message.len()).sum();
        let reasons: usize = self.accepted.retry.final_reasons.iter().map(String::len).sum();
        let labels: usize = self.accepted.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.payload.as_ref().map_or(0, |payload| payload.data.len()) + result + failures + reasons + labels
    }

    /// What went wrong, of every attempt and every end of before.
    pub fn failures_mut(&mut self) -> impl Iterator<Item = &mut Failure> {
        let tried = self.tries.iter_mut().filter_map(|tried| match &mut tried.kind {
            TryKind::Failed(failure) | TryKind::Lost(failure) => Some(failure),
            TryKind::Released => None,
        });
        let past = self.past_ends.iter_mut().filter_map(|past| match &mut past.ended.outcome {
            Outcome::Failed(failure) | Outcome::Cancelled(failure) | Outcome::Dead(failure) => Some(failure),
            Outcome::Succeeded(_) => None,
        });
        tried.chain(past)
    }

    /// How often it had been redriven when an event took place.
    #[must_use]
    pub fn redrives_before(&self, event: u64) -> usize {
        self.past_ends.iter().take_while(|past| past.ended.event < event).count()
    }
}
