//! Errors in the words of OpenAI's API, so that its clients tell them apart, wait, and come back as they would there.
//! Source: <https://platform.openai.com/docs/guides/error-codes>

use std::time::Duration;

use http::{
    HeaderName, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use serde_json::{Value, json};
use tonic::{Code, body::Body};

use super::status;
use crate::{Error, HttpResponse, error::cut, trace};

/// Reasons of which OpenAI has a notion of its own: what was agreed on is used up; no deployment of the model is one; the
/// conversation is longer than the model's context.
const BUDGETS: [&str; 2] = ["TENANT_BUDGET", "INVOCATION_BUDGET"];
const NO_UPSTREAM_MODEL: &str = "NO_UPSTREAM_MODEL";
const CONTEXT_LENGTH: &str = "CONTEXT_LENGTH";

/// The header by which clients name a call to whoever looks after the service: its trace.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// What the official clients obey before their own rules.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Who is told to wait longer than this is told not to: the official clients would hold their callers for all of it, or,
/// from a minute or two on, come back long before.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest name of a parameter that is told, in bytes.
const PARAM_MAX: usize = 256;

/// An error as a whole answer.
pub fn refuse(error: &Error) -> HttpResponse {
    let mut answer = Response::builder().status(status_of(error)).header(CONTENT_TYPE, "application/json");
    if error.code() == Code::Unauthenticated {
        answer = answer.header(WWW_AUTHENTICATE, "Bearer realm=\"holdfast\"");
    }
    if let Some(wait) = error.retry_after() {
        answer = answer
            .header(RETRY_AFTER, wait.as_millis().div_ceil(1_000).to_string())
            .header(RETRY_AFTER_MS, wait.as_micros().div_ceil(1_000).to_string());
    }
    if let Some(should) = should_retry(error) {
        answer = answer.header(SHOULD_RETRY, if should { "true" } else { "false" });
    }
    if let Some(traceparent) = trace::outgoing() {
        answer = answer.header(REQUEST_ID, trace::id(&traceparent));
    }
    answer.body(Body::new(Full::from(body(error).to_string()))).expect("the parts are valid")
}

/// An error's body; a stream that breaks off ends with it, as an event.
pub fn body(error: &Error) -> Value {
    let (kind, code) = (kind(error), code(error));
    // It names what a client sent, or what a provider makes of that: however long they call it.
    let mut param = error.field().map(str::to_owned);
    param.iter_mut().for_each(|param| cut(param, PARAM_MAX));
    json!({"error": {"message": error.to_string(), "type": kind, "param": param, "code": code}})
}

/// Whether coming back helps, where the status alone would have a client do the wrong thing.
fn should_retry(error: &Error) -> Option<bool> {
    match (error.code(), error.retry_after()) {
        (_, Some(wait)) => Some(wait <= WAIT_MAX),
        (Code::ResourceExhausted | Code::FailedPrecondition | Code::AlreadyExists, None) => Some(false),
        _ => None,
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error.reason() {
        reason if BUDGETS.contains(&reason) => StatusCode::TOO_MANY_REQUESTS,
        NO_UPSTREAM_MODEL => StatusCode::NOT_FOUND,
        _ => status(error.code()),
    }
}

fn kind(error: &Error) -> &'static str {
    match error.code() {
        _ if BUDGETS.contains(&error.reason()) => "insufficient_quota",
        Code::ResourceExhausted => "rate_limit_error",
        Code::Cancelled | Code::DeadlineExceeded => "timeout_error",
        Code::Unavailable | Code::Internal | Code::Unknown | Code::DataLoss => "server_error",
        _ => "invalid_request_error",
    }
}

/// OpenAI's word where it has one, else our reason in its spelling.
fn code(error: &Error) -> Option<String> {
    let known = match error.reason() {
        "INVALID" => return None,
        "UNAUTHENTICATED" => "invalid_api_key",
        "NOT_FOUND" | NO_UPSTREAM_MODEL => "model_not_found",
        "EXHAUSTED" => "rate_limit_exceeded",
        reason if BUDGETS.contains(&reason) => "insufficient_quota",
        CONTEXT_LENGTH => "context_length_exceeded",
        reason => return Some(reason.to_ascii_lowercase()),
    };
    Some(known.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, type, param and code.
    fn told(error: &Error) -> (u16, Value) {
        let error_body = &body(error)["error"];
        (refuse(error).status().as_u16(), json!([error_body["type"], error_body["param"], error_body["code"]]))
    }

    fn header<'a>(answer: &'a HttpResponse, name: &str) -> Option<&'a str> {
        answer.headers().get(name).and_then(|value| value.to_str().ok())
    }

    #[test]
    fn errors_are_told_apart_as_they_are_there() {
        let wait = Duration::from_secs(1);
        let too_large = Error::new(Code::OutOfRange, "BODY_TOO_LARGE", "too large");
        let too_long = Error::new(Code::InvalidArgument, CONTEXT_LENGTH, "too long");
        let spent = Error::precondition("INVOCATION_BUDGET", "spent");
        let no_upstream = Error::precondition("NO_UPSTREAM_MODEL", "unknown there");
        for (error, expected) in [
            (
                Error::invalid("stream", "must be true or false"),
                (400, json!(["invalid_request_error", "stream", null])),
            ),
            (too_long, (400, json!(["invalid_request_error", null, "context_length_exceeded"]))),
            (Error::unauthenticated("who?"), (401, json!(["invalid_request_error", null, "invalid_api_key"]))),
            (Error::permission_denied("no"), (403, json!(["invalid_request_error", null, "permission_denied"]))),
            (Error::not_found("model"), (404, json!(["invalid_request_error", null, "model_not_found"]))),
            (too_large, (413, json!(["invalid_request_error", null, "body_too_large"]))),
            (Error::exhausted("full", wait), (429, json!(["rate_limit_error", null, "rate_limit_exceeded"]))),
            (no_upstream, (404, json!(["invalid_request_error", null, "model_not_found"]))),
            (spent, (429, json!(["insufficient_quota", null, "insufficient_quota"]))),
            (Error::unavailable("gone", wait), (503, json!(["server_error", null, "unavailable"]))),
            (Error::deadline(), (504, json!(["timeout_error", null, "deadline_exceeded"]))),
        ] {
            assert_eq!(told(&error), expected, "{error}");
        }
    }

    #[test]
    fn a_parameter_has_a_name_of_bounded_length() {
        let error = Error::invalid("x".repeat(100_000), "is too long");
        assert_eq!(body(&error)["error"]["param"].as_str().map(str::len), Some(PARAM_MAX));
    }

    #[test]
    fn a_wait_is_rounded_up_and_told_in_both_units() {
        let answer = refuse(&Error::exhausted("full", Duration::from_micros(1_200_400)));
        assert_eq!((header(&answer, "retry-after"), header(&answer, "retry-after-ms")), (Some("2"), Some("1201")));
        let soon = refuse(&Error::exhausted("full", Duration::from_millis(1)));
        assert_eq!(header(&soon, "retry-after"), Some("1"), "0 would be no wait");
    }

    #[test]
    fn a_client_comes_back_by_itself_only_where_that_helps_soon() {
        let after = |wait: u64| refuse(&Error::exhausted("full", Duration::from_secs(wait)));
        assert_eq!(header(&after(60), "x-should-retry"), Some("true"));
        assert_eq!(header(&after(61), "x-should-retry"), Some("false"));
        let spent = refuse(&Error::precondition("INVOCATION_BUDGET", "spent"));
        assert_eq!(header(&spent, "x-should-retry"), Some("false"));
        let gone = refuse(&Error::unavailable("gone", Duration::from_secs(1)));
        assert_eq!(header(&gone, "x-should-retry"), Some("true"));
        assert_eq!(header(&refuse(&Error::deadline()), "x-should-retry"), None, "its own rules do");
    }
}
