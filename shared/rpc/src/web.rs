//! What a service serves over plain HTTP beside gRPC: which paths these are, who may come to them and from where, how a body
//! is read within bounds, and how an error looks there.

mod door;
mod guard;
pub mod openai;
mod paths;

use std::time::Duration;

use bytes::Bytes;
use http::{
    StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tonic::{Code, body::Body};

pub(crate) use door::Door;
pub use guard::{Guard, is_host};
pub(crate) use paths::Paths;
pub use paths::Refusal;

use crate::{Error, HttpResponse};

/// The whole body of a request, if it comes in time and is not too large.
///
/// # Errors
/// OUT_OF_RANGE (as a status: 413) where it is larger, CANCELLED (408) where it stalls or breaks off.
pub async fn read<B>(body: B, bytes_max: usize, within: Duration) -> Result<Bytes, Error>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let why = format!("the body is too large: at most {bytes_max} bytes are taken");
        Error::new(Code::OutOfRange, "BODY_TOO_LARGE", why)
    };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(within, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Error::new(Code::Cancelled, "BODY_BROKEN", "the body broke off")),
        Err(_) => Err(Error::new(Code::Cancelled, "BODY_TOO_SLOW", "the body did not come in time")),
    }
}

/// An error in the words of HTTP: a status, a JSON object that tells it, and the headers that say what to do.
pub fn refuse(error: &Error) -> HttpResponse {
    let body = serde_json::json!({"error": {"message": error.to_string(), "type": error.reason()}}).to_string();
    let mut answer = http::Response::builder().status(status(error.code())).header(CONTENT_TYPE, "application/json");
    if error.code() == Code::Unauthenticated {
        answer = answer.header(WWW_AUTHENTICATE, "Bearer realm=\"holdfast\"");
    }
    if let Some(delay) = error.retry_after() {
        answer = answer.header(RETRY_AFTER, delay.as_secs_f64().ceil() as u64);
    }
    answer.body(Body::new(http_body_util::Full::from(body))).expect("the parts are valid")
}

/// What an error is over plain HTTP.
fn status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound | Code::Unimplemented => StatusCode::NOT_FOUND,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::Aborted | Code::AlreadyExists | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::OutOfRange => StatusCode::PAYLOAD_TOO_LARGE,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a status over plain HTTP counts as.
pub(crate) fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        100..400 => Code::Ok,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        408 => Code::Cancelled,
        409 => Code::Aborted,
        413 => Code::OutOfRange,
        429 => Code::ResourceExhausted,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        400..500 => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn a_stranger_is_told_what_to_show_and_a_refused_caller_when_to_come_back() {
        let stranger = refuse(&Error::unauthenticated("a key is required"));
        assert_eq!(stranger.status(), 401);
        assert_eq!(stranger.headers()[WWW_AUTHENTICATE], "Bearer realm=\"holdfast\"");
        let full = refuse(&Error::exhausted("full", Duration::from_millis(1_200)));
        assert_eq!(full.status(), 429);
        assert_eq!(full.headers()[RETRY_AFTER], "2");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_not_taken_said_or_not() {
        let within = Duration::from_secs(5);
        let body = || Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read(body(), 5, within).await.expect("it fits"), "12345");
        assert_eq!(refuse(&read(body(), 4, within).await.expect_err("too large")).status(), 413);
        let unsaid = http_body_util::StreamBody::new(futures::stream::repeat_with(|| {
            Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(b"x")))
        }));
        assert_eq!(refuse(&read(unsaid, 4, within).await.expect_err("too large")).status(), 413);
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_not_waited_for() {
        let silent = http_body_util::StreamBody::new(futures::stream::pending::<
            Result<http_body::Frame<Bytes>, std::convert::Infallible>,
        >());
        let error = read(silent, 4, Duration::from_millis(10)).await.expect_err("it stalls");
        assert_eq!((refuse(&error).status().as_u16(), error.reason()), (408, "BODY_TOO_SLOW"));
    }
}
