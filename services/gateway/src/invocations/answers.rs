//! What goes wrong on the way to the queue, as callers see it.

use std::time::Duration;

use holdfast_rpc::{Error, deadline, status};
use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::link::CallError;

/// The metadata of an error that names the invocation which goes on.
const INVOCATION_ID: &str = "holdfast-invocation-id";

/// The shortest time after which it makes sense to come back.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A refused or broken call as its status.
pub(super) fn status(error: CallError) -> Status {
    match error {
        CallError::Unreachable { retry_after, maybe_accepted } => {
            let error = Error::unavailable("the queue cannot be reached", spread(retry_after.max(RETRY_AFTER)));
            if maybe_accepted { error.maybe_happened().into() } else { error.into() }
        }
        CallError::Full { what } => Error::exhausted(format!("too many {what}"), spread(2 * RETRY_AFTER)).into(),
        CallError::Refused { status: bytes, invocation_id: None } => status::from_bytes(&bytes),
        CallError::Refused { status: bytes, invocation_id } => {
            about(Error::from(status::from_bytes(&bytes)).maybe_happened(), invocation_id)
        }
    }
}

/// An error that names the invocation: in its details and, for plain clients, in the metadata.
pub(super) fn about(error: Error, invocation_id: Option<String>) -> Status {
    let Some(id) = invocation_id else { return error.into() };
    let value = MetadataValue::try_from(&id);
    let mut status = Status::from(error.about(id));
    if let Ok(value) = value {
        status.metadata_mut().insert(INVOCATION_ID, value);
    }
    status
}

/// Ends shortly before the call's deadline, so that the answer arrives while its caller still listens; never without one.
pub(super) async fn before_deadline() {
    match deadline::remaining() {
        Some(left) => tokio::time::sleep(left - margin(left)).await,
        None => std::future::pending().await,
    }
}

/// A tenth of what is left, and 50 ms at the most.
fn margin(left: Duration) -> Duration {
    (left / 10).min(Duration::from_millis(50))
}

/// Up to half as long again, so that callers do not return together.
fn spread(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;
    use tonic::Code;

    use super::*;

    #[test]
    fn an_unreachable_queue_says_when_to_come_back_and_whether_it_may_know() {
        for maybe_accepted in [false, true] {
            let error = CallError::Unreachable { retry_after: Duration::from_secs(2), maybe_accepted };
            let status = status(error);
            assert_eq!(status.code(), Code::Unavailable);
            let wait = status::retry_after(&status).expect("a retry-after");
            assert!((2.0..=3.0).contains(&wait.as_secs_f64()), "{wait:?}");
            assert_eq!(status::may_have_happened(&status), maybe_accepted);
        }
    }

    #[test]
    fn what_the_queue_says_passes_with_its_details() {
        let said = Error::already_exists("first", "another payload").to_proto().encode_to_vec();
        let status = status(CallError::Refused { status: Bytes::from(said), invocation_id: None });
        assert_eq!((status.code(), status::id(&status).as_deref()), (Code::AlreadyExists, Some("first")));
    }

    #[test]
    fn a_wait_that_failed_names_its_invocation_and_did_happen() {
        let said = Error::unavailable("draining", Duration::from_secs(1)).to_proto().encode_to_vec();
        let status = status(CallError::Refused { status: Bytes::from(said), invocation_id: Some("i-1".into()) });
        assert_eq!(status.metadata().get(INVOCATION_ID).map(|value| value.to_str().unwrap()), Some("i-1"));
        assert!(status::may_have_happened(&status));
    }

    #[test]
    fn the_answer_leaves_a_little_before_the_deadline() {
        assert_eq!(margin(Duration::from_millis(100)), Duration::from_millis(10));
        assert_eq!(margin(Duration::from_secs(60)), Duration::from_millis(50));
    }
}
