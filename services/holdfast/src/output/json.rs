//! Wire types as JSON: the names of the contracts, times in RFC 3339, payloads as what they are.

use holdfast_proto::queue::v1 as pb;
use holdfast_proto::tool::v1::{Circuit, CircuitKind, CircuitMode, CircuitState};
use pb::invocation_event::Event;
use serde_json::{Map, Value, json};

use super::{state_name, timestamp};

/// An invocation. What is empty or absent is left out.
pub(crate) fn invocation_json(invocation: &pb::Invocation) -> Value {
    let spec = invocation.spec.clone().unwrap_or_default();
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    };
    put("id", Some(json!(invocation.id)));
    put("state", Some(json!(state_name(invocation.state()))));
    put("agent", Some(json!(spec.agent)));
    put("tenant", text(&invocation.tenant));
    put("session", text(&spec.session));
    put("idempotency_key", text(&spec.idempotency_key));
    put("labels", (!spec.labels.is_empty()).then(|| json!(spec.labels)));
    put("priority", (spec.priority != 0).then(|| json!(spec.priority)));
    put("payload", spec.payload.as_ref().and_then(payload));
    put("attempt", Some(json!(invocation.attempt)));
    put("lost_leases", (invocation.lost_leases > 0).then(|| json!(invocation.lost_leases)));
    put("failed_attempts", attempts(&invocation.failed_attempts));
    put("past_ends", past_ends(&invocation.past_ends));
    put("result", invocation.result.as_ref().and_then(payload));
    put("failure", invocation.failure.as_ref().map(failure_json));
    put("usage", invocation.usage.as_ref().map(usage_json));
    put("created_at", invocation.created_at.as_ref().map(time));
    put("started_at", invocation.started_at.as_ref().map(time));
    put("ended_at", invocation.ended_at.as_ref().map(time));
    put("next_attempt_at", invocation.next_attempt_at.as_ref().map(time));
    put("not_before", spec.not_before.as_ref().map(time));
    put("deadline", spec.deadline.as_ref().map(time));
    put("retry_policy", spec.retry_policy.as_ref().map(retry_json));
    Value::Object(map)
}

/// One event of a watched invocation.
pub(crate) fn event_json(event: &pb::InvocationEvent) -> Value {
    let mut document = match &event.event {
        Some(Event::StateChanged(changed)) => {
            let failure = changed.failure.as_ref().map(failure_json);
            json!({"event": "state", "state": state_name(changed.state()), "attempt": changed.attempt, "failure": failure})
        }
        Some(Event::Progress(progress)) => {
            json!({"event": "progress", "message": progress.message, "fraction": progress.fraction})
        }
        Some(Event::Chunk(chunk)) => {
            json!({"event": "chunk", "attempt": chunk.attempt, "data": String::from_utf8_lossy(&chunk.data)})
        }
        Some(Event::Dropped(dropped)) => {
            json!({"event": "dropped", "first_offset": dropped.first_offset, "count": dropped.count})
        }
        None => json!({"event": "unknown"}),
    };
    document["offset"] = json!(event.offset);
    document["time"] = json!(event.time.as_ref().map(time));
    document
}

/// One breaker.
pub(crate) fn circuit_json(circuit: &Circuit) -> Value {
    let retry_after_ms = circuit.retry_after.as_ref().map(millis);
    json!({
        "tool": circuit.name,
        "kind": match circuit.kind() {
            CircuitKind::Host => "host",
            CircuitKind::Tool | CircuitKind::Unspecified => "tool",
        },
        "state": circuit_state(circuit.state()),
        "mode": match circuit.mode() {
            CircuitMode::Open => "open",
            CircuitMode::Closed => "closed",
            CircuitMode::Auto | CircuitMode::Unspecified => "auto",
        },
        "reason": circuit.reason,
        "set_by": text(&circuit.set_by),
        "set_reason": text(&circuit.set_reason),
        "calls": circuit.calls,
        "failures": circuit.failures,
        "slow_calls": circuit.slow_calls,
        "changed_at": circuit.changed_at.as_ref().map(time),
        "retry_after_ms": retry_after_ms,
    })
}

/// A span in milliseconds.
pub(crate) fn millis(span: &prost_types::Duration) -> i64 {
    span.seconds * 1_000 + i64::from(span.nanos) / 1_000_000
}

pub(super) fn circuit_state(state: CircuitState) -> &'static str {
    match state {
        CircuitState::Unspecified => "unknown",
        CircuitState::Closed => "closed",
        CircuitState::Open => "open",
        CircuitState::HalfOpen => "half-open",
    }
}

fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!(text))
}

fn time(time: &prost_types::Timestamp) -> Value {
    json!(timestamp(time))
}

fn failure_json(failure: &pb::Failure) -> Value {
    json!({"reason": failure.reason, "message": failure.message, "retryable": failure.retryable})
}

fn usage_json(usage: &pb::Usage) -> Value {
    json!({"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens})
}

fn attempts(attempts: &[pb::FailedAttempt]) -> Option<Value> {
    let attempt = |attempt: &pb::FailedAttempt| {
        json!({
            "attempt": attempt.attempt,
            "worker": attempt.worker,
            "ended_at": attempt.ended_at.as_ref().map(time),
            "failure": attempt.failure.as_ref().map(failure_json),
            "redrives": attempt.redrives,
        })
    };
    (!attempts.is_empty()).then(|| attempts.iter().map(attempt).collect())
}

fn past_ends(ends: &[pb::PastEnd]) -> Option<Value> {
    let end = |end: &pb::PastEnd| {
        json!({
            "state": state_name(end.state()),
            "failure": end.failure.as_ref().map(failure_json),
            "attempt": end.attempt,
            "ended_at": end.ended_at.as_ref().map(time),
            "redriven_at": end.redriven_at.as_ref().map(time),
        })
    };
    (!ends.is_empty()).then(|| ends.iter().map(end).collect())
}

fn retry_json(policy: &pb::RetryPolicy) -> Value {
    json!({
        "max_attempts": policy.max_attempts,
        "initial_backoff_ms": policy.initial_backoff.as_ref().map(millis),
        "max_backoff_ms": policy.max_backoff.as_ref().map(millis),
        "backoff_multiplier": policy.backoff_multiplier,
        "non_retryable_reasons": policy.non_retryable_reasons,
    })
}

/// A payload that was left out of a list is empty.
fn payload(payload: &pb::Payload) -> Option<Value> {
    (!payload.data.is_empty()).then(|| payload_json(payload))
}

/// JSON as JSON, text as text, anything else as base64 with its type.
pub(super) fn payload_json(payload: &pb::Payload) -> Value {
    content_json(&payload.data, &payload.content_type)
}

pub(super) fn content_json(data: &[u8], content_type: &str) -> Value {
    if let Ok(value) = serde_json::from_slice(data) {
        return value;
    }
    match std::str::from_utf8(data) {
        Ok(text) => json!(text),
        Err(_) => {
            use base64::Engine as _;
            let data = base64::engine::general_purpose::STANDARD.encode(data);
            json!({"content_type": content_type, "base64": data})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_printed_as_what_they_are() {
        let payload = |data: &'static [u8]| pb::Payload { data: data.into(), content_type: "x/y".into() };
        assert_eq!(payload_json(&payload(br#"{"a":[1]}"#)), json!({"a": [1]}));
        assert_eq!(payload_json(&payload(b"plain")), json!("plain"));
        assert_eq!(payload_json(&payload(b"\xff")), json!({"content_type": "x/y", "base64": "/w=="}));
    }

    #[test]
    fn an_invocation_has_its_id_and_state_and_no_empty_keys() {
        let document = invocation_json(&pb::Invocation { id: "i".into(), state: 3, ..Default::default() });
        assert_eq!(document, json!({"id": "i", "state": "succeeded", "agent": "", "attempt": 0}));
    }
}
