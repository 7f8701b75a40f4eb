//! What a submission must be like before the queue is asked. Pure: an answer for each field, by its name.
//!
//! The bounds are the queue's, so that what one of the two takes the other does not refuse. Those that the queue's
//! configuration sets (attempts, number of labels) are left to it.

mod agents;

use holdfast_proto::queue::v1 as pb;
use prost_types::{Duration, Timestamp};

pub(crate) use agents::Agents;

/// Longest agent name, in bytes.
pub(crate) const AGENT_BYTES_MAX: usize = 128;
/// Longest session name and idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 512;
/// Longest content type, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 256;
/// Longest label name, in bytes.
const LABEL_NAME_BYTES_MAX: usize = 128;
/// Longest label value, in bytes.
const LABEL_BYTES_MAX: usize = 1_024;
/// Longest failure reason, in bytes.
const REASON_BYTES_MAX: usize = 128;
/// Most failure reasons that a retry policy may name.
const REASONS_MAX: usize = 256;
/// Largest factor between one delay and the next.
const MULTIPLIER_MAX: f64 = 100.0;

/// A field that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadField {
    pub(crate) field: &'static str,
    pub(crate) why: String,
}

type Check = Result<(), BadField>;

fn bad(field: &'static str, why: impl Into<String>) -> BadField {
    BadField { field, why: why.into() }
}

/// Checks all that can be told without asking anybody.
pub(crate) fn check(
    spec: Option<&pb::InvocationSpec>,
    payload_bytes_max: usize,
) -> Result<&pb::InvocationSpec, BadField> {
    let spec = spec.ok_or_else(|| bad("spec", "is required"))?;
    agent(&spec.agent)?;
    payload(spec.payload.as_ref(), payload_bytes_max)?;
    text("spec.session", &spec.session, KEY_BYTES_MAX)?;
    text("spec.idempotency_key", &spec.idempotency_key, KEY_BYTES_MAX)?;
    if !(-100..=100).contains(&spec.priority) {
        return Err(bad("spec.priority", format!("is {}; it must be from -100 to 100", spec.priority)));
    }
    time("spec.not_before", spec.not_before.as_ref())?;
    time("spec.deadline", spec.deadline.as_ref())?;
    in_order(spec.not_before.as_ref(), spec.deadline.as_ref())?;
    retry_policy(spec.retry_policy.as_ref())?;
    labels(spec)?;
    if !spec.parent_id.is_empty() {
        return Err(bad("spec.parent_id", "is reserved; leave it empty"));
    }
    Ok(spec)
}

/// True for what may name an agent type: letters, digits, `.`, `_` and `-`, a letter or digit first.
pub(crate) fn is_agent_name(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= AGENT_BYTES_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(rest)
}

fn agent(name: &str) -> Check {
    if name.is_empty() {
        return Err(bad("spec.agent", "is required: the agent type that shall do the work"));
    }
    if !is_agent_name(name) {
        let rule = "letters, digits, '.', '_' and '-', a letter or digit first";
        return Err(bad("spec.agent", format!("is not an agent name: at most {AGENT_BYTES_MAX} {rule}")));
    }
    Ok(())
}

fn payload(payload: Option<&pb::Payload>, bytes_max: usize) -> Check {
    let payload = payload.ok_or_else(|| bad("spec.payload", "is required"))?;
    let bytes = payload.data.len();
    if bytes > bytes_max {
        return Err(bad(
            "spec.payload.data",
            format!("has {bytes} bytes; at most {bytes_max} are taken (gateway.payload_max): send a reference instead"),
        ));
    }
    text("spec.payload.content_type", &payload.content_type, CONTENT_TYPE_BYTES_MAX)?;
    if is_json(&payload.content_type) {
        json(&payload.data).map_err(|why| bad("spec.payload.data", format!("is not JSON: {why}")))?;
    }
    Ok(())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.is_empty() || essence == "application/json" || essence.ends_with("+json")
}

fn json(data: &[u8]) -> Result<(), String> {
    if data.is_empty() {
        return Err("it is empty (an agent without input takes {})".into());
    }
    let text = std::str::from_utf8(data).map_err(|error| error.to_string())?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop).map_err(|error| error.to_string())
}

fn text(field: &'static str, value: &str, bytes_max: usize) -> Check {
    if value.len() > bytes_max {
        return Err(bad(field, format!("has {} bytes; at most {bytes_max} are taken", value.len())));
    }
    if value.chars().any(char::is_control) {
        return Err(bad(field, "contains a control character"));
    }
    Ok(())
}

fn time(field: &'static str, time: Option<&Timestamp>) -> Check {
    // The years 1970 to 9999, as google.protobuf.Timestamp allows from year 1 on: nothing of ours is older than the epoch.
    const SECONDS: std::ops::Range<i64> = 0..253_402_300_800;
    match time {
        Some(time) if !SECONDS.contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) => {
            Err(bad(field, "is not a time after 1970"))
        }
        _ => Ok(()),
    }
}

/// What must not start before its deadline would never start.
fn in_order(not_before: Option<&Timestamp>, deadline: Option<&Timestamp>) -> Check {
    match (not_before, deadline) {
        (Some(first), Some(last)) if (first.seconds, first.nanos) >= (last.seconds, last.nanos) => {
            Err(bad("spec.not_before", "must be before spec.deadline, or it never starts"))
        }
        _ => Ok(()),
    }
}

fn retry_policy(policy: Option<&pb::RetryPolicy>) -> Check {
    let Some(policy) = policy else { return Ok(()) };
    span("spec.retry_policy.initial_backoff", policy.initial_backoff.as_ref())?;
    span("spec.retry_policy.max_backoff", policy.max_backoff.as_ref())?;
    let multiplier = policy.backoff_multiplier;
    if multiplier != 0.0 && !(1.0..=MULTIPLIER_MAX).contains(&multiplier) {
        let why = format!("must be from 1 to {MULTIPLIER_MAX}, or 0 for the default");
        return Err(bad("spec.retry_policy.backoff_multiplier", why));
    }
    let field = "spec.retry_policy.non_retryable_reasons";
    if policy.non_retryable_reasons.len() > REASONS_MAX {
        return Err(bad(field, format!("are more than {REASONS_MAX}")));
    }
    policy.non_retryable_reasons.iter().try_for_each(|reason| text(field, reason, REASON_BYTES_MAX))
}

fn span(field: &'static str, span: Option<&Duration>) -> Check {
    const YEAR_SECONDS: i64 = 366 * 24 * 3_600;
    match span {
        Some(span) if !(0..=YEAR_SECONDS).contains(&span.seconds) || !(0..1_000_000_000).contains(&span.nanos) => {
            Err(bad(field, "must be from nothing to a year"))
        }
        _ => Ok(()),
    }
}

fn labels(spec: &pb::InvocationSpec) -> Check {
    for (name, value) in &spec.labels {
        if name.is_empty() {
            return Err(bad("spec.labels", "have one without a name"));
        }
        text("spec.labels", name, LABEL_NAME_BYTES_MAX)?;
        text("spec.labels", value, LABEL_BYTES_MAX)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
