//! One error type for every service. What it becomes on the wire is decided here, once.

use std::{fmt::Display, time::Duration};

use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::status;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "holdfast";

/// The key in `ErrorInfo` under which every error says whether the write may have happened.
pub const MAY_HAVE_HAPPENED: &str = "may_have_happened";

/// An answer that is not a success: a gRPC code, a sentence for people, and details for programs.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: Code,
    message: String,
    reason: String,
    retry_after: Option<Duration>,
    field: Option<String>,
    id: Option<String>,
    may_have_happened: bool,
    detail: Option<Any>,
}

impl Error {
    /// An error with a code and a reason of its own. The constructors below say the usual ones.
    pub fn new(code: Code, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            reason: reason.into(),
            retry_after: None,
            field: None,
            id: None,
            may_have_happened: false,
            detail: None,
        }
    }

    /// INVALID_ARGUMENT: bad input, by its field, such as `spec.agent`.
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        let (field, why) = (field.into(), why.into());
        Self { field: Some(field.clone()), ..Self::new(Code::InvalidArgument, "INVALID", format!("{field}: {why}")) }
    }

    /// NOT_FOUND: such as `invocation 0192…`.
    pub fn not_found(what: impl Display) -> Self {
        Self::new(Code::NotFound, "NOT_FOUND", format!("there is no {what}"))
    }

    /// ALREADY_EXISTS: the key was used with other content; `first_id` names what it was used for.
    pub fn already_exists(first_id: impl Into<String>, message: impl Into<String>) -> Self {
        Self { id: Some(first_id.into()), ..Self::new(Code::AlreadyExists, "ALREADY_EXISTS", message) }
    }

    /// FAILED_PRECONDITION, with the reason that programs go by: `LEASE_LOST`, `FENCED`, …
    pub fn precondition(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// ABORTED: the state moved on; the detail shows how it is now.
    pub fn aborted<M: Name>(message: impl Into<String>, detail: &M) -> Self {
        Self { detail: Some(any(detail)), ..Self::new(Code::Aborted, "CONFLICT", message) }
    }

    /// DATA_LOSS: an acknowledged write is gone; the detail shows both versions.
    pub fn data_loss<M: Name>(message: impl Into<String>, detail: &M) -> Self {
        Self { detail: Some(any(detail)), ..Self::new(Code::DataLoss, "DATA_LOSS", message) }
    }

    /// RESOURCE_EXHAUSTED: full; come back after this long.
    pub fn exhausted(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::ResourceExhausted, "EXHAUSTED", message) }
    }

    /// UNAVAILABLE: a dependency or this service is away; come back after this long.
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Code::Unavailable, "UNAVAILABLE", message) }
    }

    /// DEADLINE_EXCEEDED: the call's time is over. What it asked for may have happened.
    pub fn deadline() -> Self {
        Self::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the call's deadline has passed").maybe_happened()
    }

    /// UNAUTHENTICATED: who is calling is not known.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, "UNAUTHENTICATED", message)
    }

    /// PERMISSION_DENIED: who is calling is known, and may not.
    pub fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, "PERMISSION_DENIED", message)
    }

    /// INTERNAL: the text goes to the log, under an id that the caller is shown.
    pub fn internal(error: impl Display) -> Self {
        let id = crate::id::new();
        tracing::error!(error_id = %id, %error, "internal error");
        Self::new(Code::Internal, "INTERNAL", format!("internal error {id}")).maybe_happened()
    }

    /// Says that the write may have happened all the same.
    #[must_use]
    pub fn maybe_happened(self) -> Self {
        Self { may_have_happened: true, ..self }
    }

    /// Says when to come back, where the code alone does not.
    #[must_use]
    pub fn come_back_in(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Names what the error is about, such as the invocation that goes on after its waiter's deadline.
    #[must_use]
    pub fn about(self, id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..self }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The reason that programs go by.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The input field that was refused.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// When to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the write may have happened.
    pub fn may_have_happened(&self) -> bool {
        self.may_have_happened
    }

    /// As `google.rpc.Status`, for answers inside of streams.
    pub fn to_proto(&self) -> pb::Status {
        let mut details = vec![any_as(
            status::ERROR_INFO,
            &pb::ErrorInfo {
                reason: self.reason.clone(),
                domain: DOMAIN.into(),
                metadata: [(MAY_HAVE_HAPPENED.to_owned(), self.may_have_happened.to_string())]
                    .into_iter()
                    .chain(self.id.clone().map(|id| ("id".to_owned(), id)))
                    .collect(),
            },
        )];
        if let Some(delay) = self.retry_after {
            details
                .push(any_as(status::RETRY_INFO, &pb::RetryInfo { retry_delay: Some(crate::time::duration(delay)) }));
        }
        if let Some(field) = &self.field {
            let violation = pb::bad_request::FieldViolation {
                field: field.clone(),
                description: self.message.clone(),
                ..Default::default()
            };
            details.push(any_as(status::BAD_REQUEST, &pb::BadRequest { field_violations: vec![violation] }));
        }
        details.extend(self.detail.clone());
        pb::Status { code: self.code as i32, message: self.message.clone(), details }
    }
}

fn any<M: Name>(message: &M) -> Any {
    any_as(&M::type_url(), message)
}

fn any_as(type_url: &str, message: &impl Message) -> Any {
    Any { type_url: type_url.into(), value: message.encode_to_vec() }
}

/// What is said of an error in words, at most. It travels in headers, twice and encoded; with more of them than a peer
/// takes, the whole connection ends, and with it everybody's calls.
const SAID_MAX: usize = 1 << 10;
/// What a detail may be, at most: a larger one is left out, and what it would have shown has to be read.
const DETAIL_MAX: usize = 5 << 10;

impl From<Error> for Status {
    fn from(mut error: Error) -> Self {
        cut(&mut error.message, SAID_MAX);
        cut(&mut error.reason, SAID_MAX);
        error.field.iter_mut().chain(&mut error.id).for_each(|text| cut(text, SAID_MAX));
        error.detail = error.detail.filter(|detail| detail.encoded_len() <= DETAIL_MAX);
        let details = error.to_proto().encode_to_vec();
        Self::with_details(error.code, error.message, details.into())
    }
}

/// Leaves at most so many bytes, and says that there was more.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    const MORE: char = '…';
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(MORE.len_utf8())));
        text.push(MORE);
    }
}

/// What another service answered, passed on with its details.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let own = |any: &Any| !any.type_url.contains("/google.rpc.");
        let (reason, id) = status::error_info(&status)
            .map(|mut info| (info.reason, info.metadata.remove("id")))
            .unwrap_or_else(|| (format!("{:?}", status.code()), None));
        Self {
            code: status.code(),
            reason,
            retry_after: status::retry_after(&status),
            field: status::field(&status),
            id,
            may_have_happened: status::may_have_happened(&status),
            detail: status::details(&status).into_iter().find(own),
            message: status.message().to_owned(),
        }
    }
}
