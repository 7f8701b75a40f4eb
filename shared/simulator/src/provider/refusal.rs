//! Why a request is not answered, and how the answer tells when to come back.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    limits::{Kind, Past},
    meter::Rate,
    protocol::Protocol,
};
use crate::faults::Hint;

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No known key was shown.
    Stranger,
    /// A limit is passed.
    Limited(Past),
    /// There is no such model.
    NoModel(String),
    /// The conversation, with what may be written, does not fit.
    TooLong { context: u64, prompt: u64, output: u64 },
    /// The request makes no sense.
    Bad { code: &'static str, message: String },
    /// A fault was asked for.
    Fault { status: u16, code: Option<String>, retry_after: Option<u64> },
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Stranger => StatusCode::UNAUTHORIZED,
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoModel(_) => StatusCode::NOT_FOUND,
            Self::TooLong { .. } | Self::Bad { .. } => StatusCode::BAD_REQUEST,
            Self::Fault { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// How long to stay away, where that is known.
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Limited(past) => Some(past.retry_after),
            Self::Fault { retry_after, .. } => retry_after.map(Duration::from_secs),
            _ => None,
        }
    }

    /// The answer, with as much of a hint as is wanted. A passed limit says all that it can, a fault its `Retry-After`.
    pub(crate) fn answer(&self, protocol: Protocol, rates: &[Rate], hint: Option<Hint>) -> Response {
        let mut response = (self.status(), Json(protocol.error(self))).into_response();
        let headers = response.headers_mut();
        let Some(wait) = self.wait() else { return response };
        let limited = matches!(self, Self::Limited(_));
        let tells = |what: Hint, unasked: bool| hint.map_or(unasked, |hint| hint == what);
        if tells(Hint::RetryAfter, true) {
            headers.insert(header::RETRY_AFTER, (wait.as_millis().div_ceil(1_000) as u64).into());
        }
        if tells(Hint::RetryAfterMs, limited) {
            let millis = wait.as_nanos().div_ceil(1_000_000) as u64;
            headers.insert(HeaderName::from_static("retry-after-ms"), millis.into());
        }
        if tells(Hint::Reset, limited) {
            // A fault has run into no limit of ours; it says that all requests are used.
            let used = [Rate { kind: Kind::Requests, limit: 1, remaining: 0, reset: wait }];
            protocol.rate_headers(if limited { rates } else { &used }, headers);
        }
        response
    }
}

/// Shows what is left of the limits beside an answer.
pub(crate) fn show_rates(protocol: Protocol, rates: &[Rate], hint: Option<Hint>, headers: &mut HeaderMap) {
    if hint != Some(Hint::Nothing) {
        protocol.rate_headers(rates, headers);
    }
}
