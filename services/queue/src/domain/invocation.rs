//! What an invocation is: what was asked, where it stands, how it ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::retry::RetryPolicy;
use super::time::Micros;

/// Where an invocation stands. The numbers are those of the contract and of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// Waits for a worker, a time, or its session's turn.
    Queued = 1,
    /// One worker holds it.
    Leased = 2,
    /// Ended with a result.
    Succeeded = 3,
    /// Ended by an error that another attempt cannot mend, or by its deadline.
    Failed = 4,
    /// Ended by a caller's wish.
    Cancelled = 5,
    /// Every attempt that the policy allows has failed.
    Dead = 6,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Leased, Self::Succeeded, Self::Failed, Self::Cancelled, Self::Dead];

    /// From its number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Leased)
    }
}

/// Bytes with their type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// The content, untouched.
    pub data: Bytes,
    /// The media type; empty means JSON.
    pub content_type: String,
}

/// Why an attempt, or the whole invocation, did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A short stable word, upper snake case.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Whether another attempt may mend it.
    pub retryable: bool,
}

impl Failure {
    /// An end that came from outside of the work.
    #[must_use]
    pub fn outside(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), retryable: false }
    }
}

/// Model tokens used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Read by models.
    pub input_tokens: u64,
    /// Written by models.
    pub output_tokens: u64,
}

/// What was accepted. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// A UUIDv7.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The agent type that shall do the work.
    pub agent: Arc<str>,
    /// Within what it runs in order; none means alone.
    pub session: Option<String>,
    /// Scoped to tenant and agent.
    pub idempotency_key: Option<String>,
    /// From -100 to 100, higher first.
    pub priority: i32,
    /// Not leased before.
    pub not_before: Option<Micros>,
    /// The work's end.
    pub deadline: Option<Micros>,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
    /// The caller's own marks.
    pub labels: BTreeMap<String, String>,
    /// Reserved: the invocation that started this one.
    pub parent: Option<Uuid>,
    /// The trace that every attempt continues; empty means none.
    pub traceparent: String,
    /// When it was accepted.
    pub at: Micros,
}

/// The right to run one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// No two leases share it.
    pub id: Uuid,
    /// Rises within a session (or lone invocation).
    pub fence: u64,
    /// As the worker named itself.
    pub worker: Arc<str>,
    /// The worker's stream; none for a unary client. Adopting and freeing compare it.
    pub stream: Option<Uuid>,
    /// When it was granted.
    pub at: Micros,
    /// The offset of its event.
    pub event: u64,
}

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
}
