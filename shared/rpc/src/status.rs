//! Reads what an error says, on the side that receives it.

use std::time::Duration;

use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

pub(crate) const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
pub(crate) const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
pub(crate) const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// All details of a status.
pub(crate) fn details(status: &Status) -> Vec<Any> {
    pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default()
}

/// One detail by its type.
pub fn detail<M: Name + Default>(status: &Status) -> Option<M> {
    detail_as(status, &M::type_url())
}

/// One detail, where the type does not know its own name. Only the name itself counts, not the host before it.
fn detail_as<M: Message + Default>(status: &Status, type_url: &str) -> Option<M> {
    let name = |url: &str| url.rsplit('/').next().map(str::to_owned);
    let found = details(status).into_iter().find(|any| name(&any.type_url) == name(type_url))?;
    M::decode(found.value.as_slice()).ok()
}

pub(crate) fn error_info(status: &Status) -> Option<pb::ErrorInfo> {
    detail_as(status, ERROR_INFO)
}

/// When to come back, where the error says so.
pub fn retry_after(status: &Status) -> Option<Duration> {
    let delay = detail_as::<pb::RetryInfo>(status, RETRY_INFO)?.retry_delay?;
    Duration::try_from(delay).ok()
}

/// The reason that programs go by, such as `FENCED`.
pub fn reason(status: &Status) -> Option<String> {
    error_info(status).map(|info| info.reason)
}

/// What the error is about: the first id of a used key, the invocation that goes on.
pub fn id(status: &Status) -> Option<String> {
    error_info(status)?.metadata.remove("id")
}

/// The input field that was refused.
pub fn field(status: &Status) -> Option<String> {
    detail_as::<pb::BadRequest>(status, BAD_REQUEST)?
        .field_violations
        .into_iter()
        .next()
        .map(|violation| violation.field)
}

/// Whether what the call asked for may have happened. Errors that do not say (from the transport) count as "may",
/// unless the connection was never made.
pub fn may_have_happened(status: &Status) -> bool {
    match error_info(status).and_then(|mut info| info.metadata.remove(crate::error::MAY_HAVE_HAPPENED)) {
        Some(said) => said != "false",
        None => !matches!(
            status.code(),
            Code::InvalidArgument
                | Code::NotFound
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::Unimplemented
        ),
    }
}

/// A status out of its serialised `google.rpc.Status`, as it stands inside of streams.
pub fn from_bytes(bytes: &[u8]) -> Status {
    match pb::Status::decode(bytes) {
        Ok(status) => Status::with_details(Code::from(status.code), status.message.clone(), bytes.to_vec().into()),
        Err(_) => Status::unknown("the error inside of the stream cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn an_error_survives_the_wire() {
        let error = Error::exhausted("full", Duration::from_millis(1500)).maybe_happened().about("x");
        let status = Status::from(error);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(retry_after(&status), Some(Duration::from_millis(1500)));
        assert_eq!(id(&status).as_deref(), Some("x"));
        let again = Status::from(Error::from(status));
        assert!(may_have_happened(&again));
        assert_eq!(retry_after(&again), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn bad_input_names_its_field_and_did_not_happen() {
        let status = Status::from(Error::invalid("spec.agent", "is empty"));
        assert_eq!(field(&status).as_deref(), Some("spec.agent"));
        assert!(!may_have_happened(&status));
        assert_eq!(status.message(), "spec.agent: is empty");
    }

    #[test]
    fn an_error_is_never_more_than_headers_carry_and_is_cut_between_characters() {
        let long = "ü".repeat(50_000);
        let status = Status::from(Error::invalid(&long, &long).about(&long));
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).expect("valid headers");
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(size < 12 << 10, "{size}");
        assert_eq!(field(&status).map(|field| field.len()), Some(1_023));
        assert!(status.message().len() <= 1_024 && status.message().ends_with("ü…"), "{}", status.message());
        let short = Status::from(Error::invalid("model", "is missing"));
        assert_eq!((short.message(), field(&short).as_deref()), ("model: is missing", Some("model")));
    }

    #[test]
    fn a_detail_that_headers_cannot_carry_is_left_out() {
        let shown = |bytes: usize| Any { type_url: "x/shown".into(), value: vec![7; bytes] };
        for (bytes, fits) in [(4_500, true), (50_000, false)] {
            for error in [Error::aborted("it moved on", &shown(bytes)), Error::data_loss("it is gone", &shown(bytes))] {
                let status = Status::from(error);
                assert_eq!(detail::<Any>(&status).map(|it| it.value.len()), fits.then_some(bytes));
                let mut headers = http::HeaderMap::new();
                status.add_header(&mut headers).expect("valid headers");
                let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
                assert!(size < 8 << 10, "{size}");
            }
        }
    }

    #[test]
    fn a_status_in_a_stream_is_whole() {
        let bytes = Error::precondition("LEASE_LOST", "gone").to_proto().encode_to_vec();
        let status = from_bytes(&bytes);
        assert_eq!((status.code(), reason(&status).as_deref()), (Code::FailedPrecondition, Some("LEASE_LOST")));
    }
}
