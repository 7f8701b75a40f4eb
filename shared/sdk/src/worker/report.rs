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
    /// The queue will never take this: a result becomes a failure, as it would in every other attempt, and a failure one
    /// that says no more than that. False where there is nothing less to say.
    pub(crate) fn refuse(&mut self, why: &str) -> bool {
        let (failure, usage) = match self {
            Self::Complete { usage, .. } => (Failure::fatal("RESULT_REFUSED", why), *usage),
            Self::Release => (Failure::fatal("RESULT_REFUSED", why), Usage::default()),
            Self::Fail { failure, usage } => (least(failure.retryable), *usage),
        };
        let less = Self::Fail { failure, usage };
        let said = less == *self;
        *self = less;
        !said
    }

    /// How large its result is, where it has one.
    pub(crate) fn result_bytes(&self) -> Option<u64> {
        match self {
            Self::Complete { output, .. } => Some(output.data.len() as u64),
            Self::Fail { .. } | Self::Release => None,
        }
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

/// Stands for a failure that the queue does not take.
fn least(retryable: bool) -> Failure {
    let message = "the queue does not take what the attempt failed with: the worker's log has its reason";
    Failure { reason: "FAILURE_REFUSED".into(), message: message.into(), retryable }
}
