//! The provider's errors, in the protocol's shape.

use axum::{
    Json,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::limits::Past;

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No known key was shown.
    Stranger,
    /// A limit is passed.
    Limited(Past),
    /// There is no such model.
    NoModel(String),
    /// The request makes no sense.
    Bad { code: &'static str, message: String },
    /// A fault was asked for.
    Fault { status: u16, retry_after: Option<u64> },
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Stranger => error(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                "invalid_api_key",
                "the simulated provider does not know this API key",
            ),
            Self::Limited(past) => {
                let message = format!("the limit of {} is reached", past.limit);
                let mut response = error(StatusCode::TOO_MANY_REQUESTS, past.limit, "rate_limit_exceeded", &message);
                let seconds = past.retry_after.as_millis().div_ceil(1_000);
                let millis = HeaderName::from_static("retry-after-ms");
                response.headers_mut().insert(header::RETRY_AFTER, (seconds as u64).into());
                response.headers_mut().insert(millis, (past.retry_after.as_millis() as u64).into());
                response
            }
            Self::NoModel(name) => error(
                StatusCode::NOT_FOUND,
                "invalid_request_error",
                "model_not_found",
                &format!("the model {name:?} does not exist"),
            ),
            Self::Bad { code, message } => error(StatusCode::BAD_REQUEST, "invalid_request_error", code, &message),
            Self::Fault { status, retry_after } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = error(status, "server_error", "simulated_fault", "a fault was asked for");
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                }
                response
            }
        }
    }
}

fn error(status: StatusCode, kind: &str, code: &str, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    (status, Json(body)).into_response()
}
