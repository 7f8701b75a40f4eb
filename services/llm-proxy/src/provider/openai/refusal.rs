//! What a provider means by an error.

use std::time::Duration;

use reqwest::{Response, header::HeaderMap};
use serde::Deserialize;

use super::super::Failure;

/// The most of an error's body that is read.
const BODY_MAX: usize = 64 << 10;
/// The most of a provider's message that is passed on.
const MESSAGE_MAX: usize = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Detail,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    message: Option<String>,
    code: Option<serde_json::Value>,
}

/// Reads a response that is not a success.
pub(crate) async fn read(response: Response) -> Failure {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let body = super::read(response, BODY_MAX).await.unwrap_or_default();
    let detail = serde_json::from_slice::<Body>(&body).unwrap_or_default().error;
    judge(status, retry_after, detail)
}

fn judge(status: u16, retry_after: Option<Duration>, detail: Detail) -> Failure {
    let code = detail.code.as_ref().and_then(|code| code.as_str()).unwrap_or_default();
    let message = || {
        let message = detail.message.clone().unwrap_or_else(|| format!("status {status}"));
        message.chars().take(MESSAGE_MAX).collect::<String>()
    };
    match status {
        // No waiting helps a key whose account is empty.
        402 | 429 if status == 402 || code == "insufficient_quota" => Failure::KeyDenied { status, message: message() },
        429 => Failure::Limited { retry_after },
        401 | 403 => Failure::KeyDenied { status, message: message() },
        404 => Failure::NoModel { message: message() },
        400 | 405..=407 | 409..=428 | 430..=499 => Failure::Rejected { field: None, message: message() },
        _ => Failure::Unwell { status, retry_after },
    }
}

/// How long to wait, in milliseconds where the provider says it so, else in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| -> Option<f64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
    let seconds = number("retry-after-ms").map(|millis| millis / 1_000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(status: u16, body: serde_json::Value) -> Failure {
        let body: Body = serde_json::from_value(body).expect("a body");
        judge(status, Some(Duration::from_secs(7)), body.error)
    }

    #[test]
    fn errors_are_told_apart_by_what_is_to_be_done() {
        let limited = Failure::Limited { retry_after: Some(Duration::from_secs(7)) };
        assert_eq!(judged(429, json!({})), limited);
        assert!(matches!(judged(429, json!({"error": {"code": "insufficient_quota"}})), Failure::KeyDenied { .. }));
        assert!(matches!(judged(401, json!({})), Failure::KeyDenied { status: 401, .. }));
        assert!(matches!(judged(404, json!({})), Failure::NoModel { .. }));
        assert_eq!(judged(503, json!({})), Failure::Unwell { status: 503, retry_after: Some(Duration::from_secs(7)) });
        assert!(matches!(judged(408, json!({})), Failure::Unwell { status: 408, .. }));
        let rejected = judged(400, json!({"error": {"message": "too long", "code": 7}}));
        assert_eq!(rejected, Failure::Rejected { field: None, message: "too long".into() });
    }

    #[test]
    fn a_wait_is_read_in_either_unit() {
        let of = |pairs: &[(&'static str, &str)]| {
            retry_after(
                &pairs
                    .iter()
                    .map(|(name, value)| {
                        (reqwest::header::HeaderName::from_static(name), value.parse().expect("a value"))
                    })
                    .collect(),
            )
        };
        assert_eq!(of(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(of(&[("retry-after", "7"), ("retry-after-ms", "6500")]), Some(Duration::from_millis(6_500)));
        assert_eq!(of(&[("retry-after", "-1")]), None);
        assert_eq!(of(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
    }
}
