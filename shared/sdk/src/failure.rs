//! How a handler says that it did not succeed.

use std::error::Error as StdError;

use holdfast_proto::queue::v1 as pb;

use crate::Error;

/// What the queue takes of a message.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// What the queue takes of a reason, which is one line.
const REASON_BYTES_MAX: usize = 128;

/// The reason of an error that has none of its own.
const HANDLER_ERROR: &str = "HANDLER_ERROR";

/// Ends a message of which more was said than the queue takes.
const CUT: &str = " … (cut)";

/// Why an attempt failed. Any error turns into one by `?`: errors of the mesh keep their reason and whether another
/// attempt may mend them; all others are `HANDLER_ERROR` and retryable. (It is not itself a [`std::error::Error`], for
/// then it could not take all others.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A short stable word, upper snake case. One that is empty, longer than 128 bytes or has control characters is told as
    /// `HANDLER_ERROR`, and stands in the message.
    pub reason: String,
    /// For people. What is longer than 16 KiB is cut.
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
            None => Self::retryable(HANDLER_ERROR, error.to_string()),
        }
    }
}

impl From<Failure> for pb::Failure {
    /// What a handler said may be anything; the queue refuses a failure that it cannot keep, and a failure that is refused
    /// would be forgotten, and its work done again.
    fn from(failure: Failure) -> Self {
        let Failure { reason, message, retryable } = failure;
        let plain = !reason.is_empty() && reason.len() <= REASON_BYTES_MAX && !reason.contains(char::is_control);
        let (reason, message) = match plain {
            true => (reason, message),
            false if reason.is_empty() => (HANDLER_ERROR.to_owned(), message),
            false => (HANDLER_ERROR.to_owned(), format!("{}: {message}", cut(reason, REASON_BYTES_MAX))),
        };
        Self { reason, message: cut(message, MESSAGE_BYTES_MAX), retryable }
    }
}

/// The text, or as much of its beginning as there is room for, and a word that it is not all.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - CUT.len()));
        text.push_str(CUT);
    }
    text
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

    #[test]
    fn a_message_is_cut_to_what_the_queue_takes_and_says_so() {
        let whole = "é".repeat(MESSAGE_BYTES_MAX / 2);
        assert_eq!(pb::Failure::from(Failure::fatal("X", whole.clone())).message, whole);

        let sent = pb::Failure::from(Failure::fatal("X", format!("{whole}é")));
        assert!(sent.message.len() <= MESSAGE_BYTES_MAX, "{} bytes", sent.message.len());
        assert!(sent.message.starts_with("éé") && sent.message.ends_with("é … (cut)"));
        assert_eq!((&*sent.reason, sent.retryable), ("X", false));
    }

    #[test]
    fn a_reason_that_the_queue_does_not_take_goes_into_the_message() {
        let sent = |reason: &str| {
            let sent = pb::Failure::from(Failure::retryable(reason, "why"));
            (sent.reason, sent.message)
        };
        let longest = "R".repeat(REASON_BYTES_MAX);
        assert_eq!(sent(&longest), (longest.clone(), "why".into()));
        assert_eq!(sent(""), ("HANDLER_ERROR".into(), "why".into()));
        assert_eq!(sent("NO\nNAME"), ("HANDLER_ERROR".into(), "NO\nNAME: why".into()));
        let (reason, message) = sent(&format!("{longest}R"));
        assert_eq!(reason, "HANDLER_ERROR");
        assert!(message.starts_with("RRR") && message.ends_with("R … (cut): why"), "{message}");
    }
}
