//! How a handler says that it did not succeed.

use std::error::Error as StdError;

use holdfast_proto::queue::v1 as pb;

use crate::Error;

/// Why an attempt failed. Any error turns into one by `?`: errors of the mesh keep their reason and whether another
/// attempt may mend them; all others are `HANDLER_ERROR` and retryable. (It is not itself a [`std::error::Error`], for
/// then it could not take all others.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A short stable word, upper snake case.
    pub reason: String,
    /// For people.
    pub message: String,
    /// False ends the invocation: another attempt would fail alike.
    pub retryable: bool,
}

impl Failure {
    /// Another attempt may succeed.
    pub fn retryable(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), retryable: true }
    }

    /// Another attempt would fail alike.
    pub fn fatal(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), retryable: false }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let error: &(dyn StdError + 'static) = &error;
        match error.downcast_ref::<Error>() {
            Some(known) => {
                let retryable = known.is_retryable() || matches!(known, Error::Conflict(_) | Error::LeaseGone { .. });
                Self { reason: known.reason().to_owned(), message: known.to_string(), retryable }
            }
            None => Self::retryable("HANDLER_ERROR", error.to_string()),
        }
    }
}

impl From<Failure> for pb::Failure {
    fn from(failure: Failure) -> Self {
        Self { reason: failure.reason, message: failure.message, retryable: failure.retryable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(error: impl StdError + Send + Sync + 'static) -> Failure {
        fn inner(error: impl StdError + Send + Sync + 'static) -> Result<(), Failure> {
            Err(error)?
        }
        inner(error).expect_err("it is an error")
    }

    #[test]
    fn an_error_of_the_mesh_keeps_its_reason() {
        let failure = fails(Error::Invalid("payload: too large".into()));
        assert_eq!(failure, Failure::fatal("INVALID_ARGUMENT", "payload: too large"));
    }

    #[test]
    fn a_strangers_error_may_be_mended_by_another_attempt() {
        let failure = fails(std::io::Error::other("printer on fire"));
        assert_eq!(failure, Failure::retryable("HANDLER_ERROR", "printer on fire"));
    }
}
