//! What a provider means by an error: which of our failures it is. The README has the table.

mod told;
mod wait;

use std::time::Duration;

use http::Response;
use hyper::body::Incoming;

use self::told::Told;
use super::{super::Failure, client};

/// The most of an error's body that is read.
const BODY_MAX: usize = 64 << 10;

/// What says that the account behind a key is empty or closed: no waiting helps it.
const BILLING: [&str; 7] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "account_deactivated",
    "access_terminated",
    "credits_exhausted",
];
/// What says that a request, and not the key, may not pass.
const POLICY: [&str; 5] =
    ["content_policy_violation", "content_filter", "policy_violation", "moderation", "content_management_policy"];
/// What says that nobody may call from here, whatever key is shown.
const REGION: [&str; 3] = ["unsupported_country_region_territory", "unsupported_region", "request_forbidden"];

/// Reads a response that is not a success.
pub(super) async fn read(response: Response<Incoming>) -> Failure {
    let status = response.status().as_u16();
    let retry_after = wait::told(response.headers());
    let body = client::read(response.into_body(), BODY_MAX).await.unwrap_or_default();
    judge(status, retry_after, Told::read(&body))
}

/// What an error means that came where an answer should have been: with a status of success, or inside of a stream.
/// `None` where the text speaks of no error.
pub(crate) fn judge_said(text: &[u8]) -> Option<Failure> {
    let told = Told::read_said(text)?;
    Some(judge(told.status().unwrap_or_else(|| status_of(&told)), None, told))
}

fn judge(status: u16, retry_after: Option<Duration>, told: Told) -> Failure {
    if told.is_any_of(&BILLING) || status == 402 || told.starts_with("Your credit balance is too low") {
        return Failure::KeyDenied { status, message: told.message(status) };
    }
    match status {
        // Too many tokens for one minute, at some providers: it would be too many in the next one too.
        400 | 413 | 422 | 429 if told.is_too_long() => Failure::ContextLength { message: told.message(status) },
        413 => Failure::ContextLength { message: told.message(status) },
        429 => Failure::Limited { retry_after },
        401 => Failure::KeyDenied { status, message: told.message(status) },
        403 if told.is_any_of(&POLICY) || told.is_flagged() => rejected(status, told),
        403 if told.is_any_of(&["model_not_found"]) => Failure::NoModel { message: told.message(status) },
        // A page comes from something before the provider, and a region from where we are: other keys fare no better.
        403 if told.is_page() || told.is_any_of(&REGION) => Failure::Unwell { status, retry_after },
        403 => Failure::Forbidden { message: told.message(status) },
        404 => Failure::NoModel { message: told.message(status) },
        // Something before the provider gave up on it, which may still be at it.
        504 | 524 => Failure::Broken { how: "took too long" },
        400 | 405 | 406 | 409..=412 | 414..=424 | 426..=499 => rejected(status, told),
        _ => Failure::Unwell { status, retry_after },
    }
}

fn rejected(status: u16, told: Told) -> Failure {
    Failure::Rejected { message: told.message(status), field: told.field() }
}

/// The status that an error would have had, by its name.
fn status_of(told: &Told) -> u16 {
    const NAMES: [(&[&str], u16); 7] = [
        (&["rate_limit_error", "rate_limit_exceeded", "rate_limited", "tokens", "requests"], 429),
        (&["overloaded_error"], 529),
        (&["authentication_error", "invalid_api_key"], 401),
        (&["permission_error"], 403),
        (&["not_found_error", "model_not_found", "NotFoundError"], 404),
        (&["request_too_large"], 413),
        (&["invalid_request_error", "BadRequestError", "context_length_exceeded", "exceed_context_size_error"], 400),
    ];
    NAMES.iter().find(|(names, _)| told.is_any_of(names)).map_or(500, |(_, status)| *status)
}

#[cfg(test)]
mod tests;
