//! What every backend keeps as JSON: the retry policy, the labels.

use std::time::Duration;

use holdfast_resilience::Backoff;
use serde::{Deserialize, Serialize};

use crate::domain::retry::RetryPolicy;

/// A retry policy as it is kept.
#[derive(Serialize, Deserialize)]
struct RetryText {
    attempts: u32,
    initial_us: u64,
    max_us: u64,
    multiplier: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    final_reasons: Vec<String>,
}

pub(super) fn from_retry(policy: &RetryPolicy) -> serde_json::Result<String> {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    serde_json::to_string(&RetryText {
        attempts: policy.attempts_max,
        initial_us: micros(policy.backoff.initial),
        max_us: micros(policy.backoff.max),
        multiplier: policy.backoff.multiplier,
        final_reasons: policy.final_reasons.clone(),
    })
}

pub(super) fn to_retry(text: &str) -> serde_json::Result<RetryPolicy> {
    let text: RetryText = serde_json::from_str(text)?;
    Ok(RetryPolicy {
        attempts_max: text.attempts,
        backoff: Backoff {
            initial: Duration::from_micros(text.initial_us),
            max: Duration::from_micros(text.max_us),
            multiplier: text.multiplier,
        },
        final_reasons: text.final_reasons,
    })
}
