//! What a handler came to, kept until the queue has it.

use holdfast_proto::queue::v1::{self as pb, work_request::Message as Up};

use crate::{Failure, Output, Usage};

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    Complete {
        output: Output,
        usage: Usage,
    },
    Fail {
        failure: Failure,
        usage: Usage,
    },
    /// Handed back unfinished: the worker shuts down.
    Release,
}

impl Report {
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Fail { .. })
    }

    /// The queue will never take this result: the attempt fails instead, and so would every other.
    pub(crate) fn refuse(&mut self, why: &str) {
        let usage = match self {
            Self::Complete { usage, .. } | Self::Fail { usage, .. } => *usage,
            Self::Release => Usage::default(),
        };
        *self = Self::Fail { failure: Failure::fatal("RESULT_REFUSED", why), usage };
    }

    pub(crate) fn to_wire(&self, token: &str) -> Up {
        let token = token.to_owned();
        match self.clone() {
            Self::Complete { output, usage } => {
                Up::Complete(pb::CompleteRequest { token, result: Some(output.into()), usage: Some(usage.into()) })
            }
            Self::Fail { failure, usage } => {
                Up::Fail(pb::FailRequest { token, failure: Some(failure.into()), usage: Some(usage.into()) })
            }
            Self::Release => Up::Release(pb::ReleaseRequest { token }),
        }
    }
}
