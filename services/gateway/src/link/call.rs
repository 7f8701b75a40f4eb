//! One call on its way to the queue: what is asked, how far it has come, and how it may end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_proto::queue::v1 as pb;
use tokio::sync::oneshot;

use crate::allowance::Weight;

/// The bounds of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Calls open at once, waiting ones included.
    pub(crate) calls_max: usize,
    /// Waiting calls at once.
    pub(crate) waits_max: usize,
    /// Bytes of requests kept at once.
    pub(crate) bytes_max: usize,
    /// Calls in one message.
    pub(crate) message_calls_max: usize,
    /// A message takes no further call once it is this large.
    pub(crate) message_bytes: usize,
    /// How long a call whose stream broke may wait to be sent again.
    pub(crate) resend_within: Duration,
}

/// What a call is answered with.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The invocation is durable.
    Accepted(pb::EnqueueResponse),
    /// The invocation is terminal.
    Ended(Box<pb::Invocation>),
}

/// Why a call has no answer.
#[derive(Debug, PartialEq)]
pub(crate) enum CallError {
    /// The queue cannot be reached.
    Unreachable {
        /// When the next attempt to reach it is due.
        retry_after: Duration,
        /// Whether the queue may have accepted the invocation nevertheless.
        maybe_accepted: bool,
    },
    /// A bound of the table is reached.
    Full {
        /// Which one.
        what: &'static str,
    },
    /// The queue said no: a serialised `google.rpc.Status`.
    Refused {
        /// Its words.
        status: Bytes,
        /// The invocation, where it had been accepted before.
        invocation_id: Option<String>,
    },
}

/// How far a call has come.
pub(super) enum Stage {
    /// In the outbox, not sent yet.
    Ready,
    /// Sent, no answer yet.
    Sent { at: Instant },
    /// Sent on a stream that broke; to be sent again.
    Lost { since: Instant },
    /// Durable; its end is awaited.
    Accepted { invocation_id: String },
    /// Durable; the queue could not wait for its end, and is asked again.
    /// `queued` once that question is in the outbox: two of them on one stream would be refused.
    Parked { invocation_id: String, queued: bool },
}

/// A call and where its answer goes.
pub(super) struct Call {
    pub(super) stage: Stage,
    pub(super) waits: bool,
    pub(super) tenant: String,
    /// What was asked, for as long as it may have to be sent (again).
    pub(super) request: Option<pb::EnqueueRequest>,
    /// Its bytes, for as long.
    pub(super) weight: Option<Weight>,
    /// It was sent on a second stream; there is no third.
    pub(super) resent: bool,
    pub(super) reply: oneshot::Sender<Result<Reply, CallError>>,
}

impl Call {
    /// Only a key makes a second time harmless, and only one is made.
    pub(super) fn may_be_resent(&self) -> bool {
        if self.resent {
            return false;
        }
        let spec = self.request.as_ref().and_then(|request| request.spec.as_ref());
        spec.is_some_and(|spec| !spec.idempotency_key.is_empty())
    }
}
