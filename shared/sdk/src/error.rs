//! What can go wrong, in the words of the mesh: each kind says what the caller can do about it.

use std::time::Duration;

use holdfast_proto::state::v1 as pb;
use holdfast_rpc::status;
use tonic::{Code, Status};

use crate::state::{Conflict, Loss};

/// Why a call to the mesh did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The lease is not this worker's any more, or was superseded: stop working on the invocation. The worker ends a
    /// handler quietly after this; nothing needs to be reported.
    #[error("the lease is gone: {reason}")]
    LeaseGone {
        /// `LEASE_LOST`, `CANCELLED`, `DEADLINE_PASSED` or `FENCED`.
        reason: String,
    },
    /// Too much at once (`RESOURCE_EXHAUSTED`).
    #[error("{message}")]
    Busy {
        /// What is used up: `RESOURCE_EXHAUSTED`, or what the mesh calls it, such as `TENANT_BUDGET`.
        reason: String,
        /// When to come back.
        retry_after: Option<Duration>,
        /// Whether the call may have taken effect all the same: an earlier attempt broke, or its answer was refused.
        may_have_happened: bool,
        /// For people.
        message: String,
    },
    /// Something is gone for now (`UNAVAILABLE`).
    #[error("{message}")]
    Unavailable {
        /// When to come back, where the mesh said.
        retry_after: Option<Duration>,
        /// Whether the call may have taken effect all the same.
        may_have_happened: bool,
        /// The invocation that goes on all the same, where the mesh said so of a wait that ended.
        invocation_id: Option<String>,
        /// For people.
        message: String,
    },
    /// The record has moved on since it was read (`ABORTED`).
    #[error("the record has moved on since it was read")]
    Conflict(Box<Conflict>),
    /// A write that was acknowledged is gone (`DATA_LOSS`). Never overwritten silently: read, and decide anew.
    #[error("a write that was acknowledged is gone: presented {}, held {}", .0.presented, .0.held)]
    DataLoss(Box<Loss>),
    /// The name does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The key was used before for something else (`ALREADY_EXISTS`).
    #[error("{message}")]
    AlreadyExists {
        /// What it was used for, where the mesh said: the first invocation's id.
        first_id: Option<String>,
        /// For people.
        message: String,
    },
    /// The request itself is wrong (`INVALID_ARGUMENT`): it would fail again.
    #[error("{0}")]
    Invalid(String),
    /// The state of things forbids it (`FAILED_PRECONDITION`).
    #[error("{message}")]
    Precondition {
        /// A stable word: `LOCK_HELD`, `LOCK_LOST`, `HISTORY_GONE`, …
        reason: String,
        /// When to come back, where the mesh said.
        retry_after: Option<Duration>,
        /// For people.
        message: String,
    },
    /// The deadline passed first.
    #[error("the deadline passed ({message})")]
    Deadline {
        /// Whether the call may have taken effect all the same.
        may_have_happened: bool,
        /// The invocation that goes on all the same, where the mesh said so of a wait that ended.
        invocation_id: Option<String>,
        /// For people.
        message: String,
    },
    /// Not allowed: the key is wrong, or its role is.
    #[error("{0}")]
    Denied(String),
    /// The other side failed in a way of its own; its log says more.
    #[error("{0}")]
    Internal(String),
    /// A value did not read or write as JSON.
    #[error("not the expected JSON: {0}")]
    Json(String),
}

impl Error {
    fn unavailable(refused: &Status) -> Self {
        Self::Unavailable {
            retry_after: status::retry_after(refused),
            may_have_happened: status::may_have_happened(refused),
            invocation_id: status::id(refused),
            message: refused.message().to_owned(),
        }
    }

    fn deadline(refused: &Status) -> Self {
        Self::Deadline {
            may_have_happened: status::may_have_happened(refused),
            invocation_id: status::id(refused),
            message: refused.message().to_owned(),
        }
    }

    fn busy(refused: &Status) -> Self {
        // The mesh's own word for the usual case says no more than the code.
        let reason = status::reason(refused).filter(|reason| reason != "EXHAUSTED");
        Self::Busy {
            reason: reason.unwrap_or_else(|| "RESOURCE_EXHAUSTED".into()),
            retry_after: status::retry_after(refused),
            may_have_happened: status::may_have_happened(refused),
            message: refused.message().to_owned(),
        }
    }

    fn precondition(refused: &Status) -> Self {
        Self::Precondition {
            reason: status::reason(refused).unwrap_or_else(|| "FAILED_PRECONDITION".into()),
            retry_after: status::retry_after(refused),
            message: refused.message().to_owned(),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unavailable { .. } | Self::Deadline { .. } | Self::Internal(_))
    }

    /// When the mesh asked to be called again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. }
            | Self::Unavailable { retry_after, .. }
            | Self::Precondition { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the call may have taken effect although it did not succeed.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Busy { may_have_happened, .. }
            | Self::Unavailable { may_have_happened, .. }
            | Self::Deadline { may_have_happened, .. } => *may_have_happened,
            Self::Conflict(conflict) => conflict.may_have_happened,
            Self::Internal(_) => true,
            _ => false,
        }
    }

    /// The invocation that goes on although nobody waits for it any more, where the mesh said which it is.
    pub fn invocation_id(&self) -> Option<&str> {
        match self {
            Self::Unavailable { invocation_id, .. } | Self::Deadline { invocation_id, .. } => invocation_id.as_deref(),
            _ => None,
        }
    }

    /// A short stable word for records, logs and spans.
    pub fn reason(&self) -> &str {
        match self {
            Self::LeaseGone { reason } | Self::Precondition { reason, .. } | Self::Busy { reason, .. } => reason,
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::Conflict(_) => "CONFLICT",
            Self::DataLoss(_) => "DATA_LOSS",
            Self::NotFound(_) => "NOT_FOUND",
            Self::AlreadyExists { .. } => "ALREADY_EXISTS",
            Self::Invalid(_) => "INVALID_ARGUMENT",
            Self::Deadline { .. } => "DEADLINE_EXCEEDED",
            Self::Denied(_) => "PERMISSION_DENIED",
            Self::Internal(_) => "INTERNAL",
            Self::Json(_) => "BAD_JSON",
        }
    }
}

/// The reasons by which the mesh says that a lease does not count any more.
const LEASE_GONE: [&str; 4] = ["LEASE_LOST", "CANCELLED", "DEADLINE_PASSED", "FENCED"];

impl From<Status> for Error {
    fn from(refused: Status) -> Self {
        let message = refused.message().to_owned();
        match refused.code() {
            Code::ResourceExhausted => Self::busy(&refused),
            Code::Unavailable => Self::unavailable(&refused),
            // A connection that breaks in the middle of a call shows as one of these, and says nothing of ours.
            Code::Internal | Code::Cancelled | Code::Unknown if status::reason(&refused).is_none() => {
                Self::unavailable(&refused)
            }
            Code::Aborted => match status::detail::<pb::Conflict>(&refused) {
                Some(conflict) => Self::Conflict(Box::new(conflict.into())),
                None => Self::Unavailable { retry_after: None, may_have_happened: false, invocation_id: None, message },
            },
            Code::DataLoss => Self::DataLoss(Box::new(status::detail::<pb::Loss>(&refused).unwrap_or_default().into())),
            Code::NotFound => Self::NotFound(message),
            Code::AlreadyExists => Self::AlreadyExists { first_id: status::id(&refused), message },
            Code::OutOfRange if status::reason(&refused).is_some() => Self::precondition(&refused),
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid(message),
            Code::FailedPrecondition => match status::reason(&refused) {
                Some(reason) if LEASE_GONE.contains(&reason.as_str()) => Self::LeaseGone { reason },
                _ => Self::precondition(&refused),
            },
            Code::DeadlineExceeded => Self::deadline(&refused),
            Code::Unauthenticated | Code::PermissionDenied => Self::Denied(message),
            _ => Self::Internal(message),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_passed_names_what_goes_on() {
        let passed = Error::from(Status::from(holdfast_rpc::Error::deadline().about("i-1")));
        assert_eq!((passed.reason(), passed.invocation_id()), ("DEADLINE_EXCEEDED", Some("i-1")));
    }
}
