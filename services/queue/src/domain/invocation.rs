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

/// What was accepted. It never changes, but for the deadline at a redrive.
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
    /// The payload's size.
    pub bytes: usize,
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
