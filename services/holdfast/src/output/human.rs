//! Wire types for people.

use holdfast_proto::queue::v1 as pb;
use holdfast_proto::tool::v1::{Circuit, CircuitMode};
use pb::invocation_event::Event;
use prost_types::Timestamp;
use serde_json::Value;

use super::json::{circuit_state, millis, payload_json};
use super::state_name;

/// An invocation as a short report.
pub(crate) fn invocation(invocation: &pb::Invocation) -> String {
    let spec = invocation.spec.clone().unwrap_or_default();
    let mut lines = vec![format!("{}  {}  {}", invocation.id, state_name(invocation.state()), spec.agent)];
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<12}{value}"));
        }
    };
    add("session", spec.session.clone());
    add("labels", labels(&spec));
    add("priority", if spec.priority == 0 { String::new() } else { spec.priority.to_string() });
    add("not before", spec.not_before.as_ref().map(timestamp).unwrap_or_default());
    add("deadline", spec.deadline.as_ref().map(timestamp).unwrap_or_default());
    add("created", invocation.created_at.as_ref().map(timestamp).unwrap_or_default());
    add("started", invocation.started_at.as_ref().map(timestamp).unwrap_or_default());
    add("ended", invocation.ended_at.as_ref().map(timestamp).unwrap_or_default());
    add("next try", invocation.next_attempt_at.as_ref().map(timestamp).unwrap_or_default());
    add("attempts", if invocation.attempt > 0 { invocation.attempt.to_string() } else { String::new() });
    add("lost leases", if invocation.lost_leases > 0 { invocation.lost_leases.to_string() } else { String::new() });
    for (name, value) in history(invocation) {
        add(name, value);
    }
    if let Some(usage) = invocation.usage.as_ref().filter(|usage| usage.input_tokens + usage.output_tokens > 0) {
        add("tokens", format!("{} in, {} out", usage.input_tokens, usage.output_tokens));
    }
    add("input", spec.payload.as_ref().map(line).unwrap_or_default());
    add("failure", invocation.failure.as_ref().map(failure).unwrap_or_default());
    if let Some(result) = &invocation.result {
        lines.push(payload(result));
    }
    lines.join("\n")
}

/// Every attempt that failed, and every end that was not the last, in the order in which they happened.
fn history(invocation: &pb::Invocation) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut attempts = invocation.failed_attempts.iter().peekable();
    let attempt = |attempt: &pb::FailedAttempt| {
        let why = attempt.failure.as_ref().map(failure).unwrap_or_default();
        ("failed", format!("attempt {} on {}: {why}", attempt.attempt, attempt.worker))
    };
    for (redrives, end) in invocation.past_ends.iter().enumerate() {
        while let Some(before) = attempts.next_if(|attempt| attempt.redrives as usize <= redrives) {
            lines.push(attempt(before));
        }
        let at = end.redriven_at.as_ref().map(timestamp).unwrap_or_default();
        let why = end.failure.as_ref().map(failure).unwrap_or_default();
        lines.push(("redriven", format!("{at} after it was {}: {why}", state_name(end.state()))));
    }
    lines.extend(attempts.map(attempt));
    lines
}

fn labels(spec: &pb::InvocationSpec) -> String {
    let mut labels: Vec<String> = spec.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    labels.sort();
    labels.join(" ")
}

/// What a caller waited for: the result alone, or how it ended otherwise.
pub(crate) fn answer(ended: &pb::Invocation) -> String {
    match &ended.result {
        Some(result) if ended.state() == pb::InvocationState::Succeeded => payload(result),
        _ => invocation(ended),
    }
}

/// An invocation in a list.
pub(crate) fn row(invocation: &pb::Invocation) -> String {
    let spec = invocation.spec.clone().unwrap_or_default();
    let created = invocation.created_at.as_ref().map(timestamp).unwrap_or_default();
    let state = state_name(invocation.state());
    format!("{}  {state:<9}  {created}  {}  {}", invocation.id, spec.agent, spec.session).trim_end().to_owned()
}

/// One event of a watched invocation.
pub(crate) fn event(event: &pb::InvocationEvent) -> String {
    let what = match &event.event {
        Some(Event::StateChanged(changed)) => {
            let why = changed.failure.as_ref().map(|why| format!(": {}", failure(why))).unwrap_or_default();
            let attempt = if changed.attempt > 0 { format!(" (attempt {})", changed.attempt) } else { String::new() };
            format!("{}{attempt}{why}", state_name(changed.state()))
        }
        Some(Event::Progress(progress)) => match progress.fraction {
            Some(fraction) => format!("{:3.0}% {}", fraction * 100.0, progress.message),
            None => progress.message.clone(),
        },
        Some(Event::Chunk(chunk)) => String::from_utf8_lossy(&chunk.data).into_owned(),
        Some(Event::Dropped(dropped)) => {
            format!("({} events from {} on are not kept any more)", dropped.count, dropped.first_offset)
        }
        None => "an event of a newer version".into(),
    };
    let time = event.time.as_ref().map(timestamp).unwrap_or_default();
    format!("{:>4}  {time}  {what}", event.offset)
}

/// One breaker.
pub(crate) fn circuit(circuit: &Circuit) -> String {
    let state = circuit_state(circuit.state());
    let slow = if circuit.slow_calls > 0 { format!(", {} slow", circuit.slow_calls) } else { String::new() };
    let counts = format!("{} of {} calls failed{slow}", circuit.failures, circuit.calls);
    let reason = if circuit.reason.is_empty() { String::new() } else { format!("  {}", circuit.reason) };
    let left = circuit.retry_after.as_ref().filter(|_| circuit.mode() != CircuitMode::Open).map(millis);
    let left = left.map(|ms| format!("  (probes in {:.1} s)", ms as f64 / 1e3)).unwrap_or_default();
    format!("{:<24}  {state:<9}  {counts}{reason}{left}", circuit.name)
}

/// A change of one, with its time.
pub(crate) fn circuit_change(changed: &Circuit) -> String {
    let time = changed.changed_at.as_ref().map(timestamp).unwrap_or_default();
    format!("{time}  {}", circuit(changed))
}

fn failure(failure: &pb::Failure) -> String {
    format!("{}: {}", failure.reason, failure.message)
}

fn payload(payload: &pb::Payload) -> String {
    match payload_json(payload) {
        Value::String(text) => text,
        other => format!("{other:#}"),
    }
}

/// On one line, so that a report stays short.
fn line(payload: &pb::Payload) -> String {
    match payload_json(payload) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A time in RFC 3339, UTC, to the millisecond.
pub(crate) fn timestamp(time: &Timestamp) -> String {
    Timestamp { nanos: time.nanos - time.nanos % 1_000_000, ..*time }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_rfc_3339_to_the_millisecond() {
        let time = Timestamp { seconds: 951_782_400, nanos: 5_123_456 };
        assert_eq!(timestamp(&time), "2000-02-29T00:00:00.005Z");
    }

    #[test]
    fn every_attempt_and_every_past_end_is_told_in_order() {
        let why = |reason: &str| Some(pb::Failure { reason: reason.into(), message: "m".into(), retryable: true });
        let attempt = |attempt, redrives, reason| pb::FailedAttempt {
            attempt,
            redrives,
            worker: "w".into(),
            failure: why(reason),
            ended_at: None,
        };
        let report = invocation(&pb::Invocation {
            failed_attempts: vec![attempt(1, 0, "A"), attempt(2, 0, "B"), attempt(1, 1, "C")],
            past_ends: vec![pb::PastEnd { state: 6, failure: why("B"), ..Default::default() }],
            ..Default::default()
        });
        let told: Vec<&str> = report.lines().skip(1).map(str::trim).collect();
        assert_eq!(told[0], "failed      attempt 1 on w: A: m");
        assert_eq!(told[1], "failed      attempt 2 on w: B: m");
        assert_eq!(told[2], "redriven     after it was dead: B: m");
        assert_eq!(told[3], "failed      attempt 1 on w: C: m");
    }

    #[test]
    fn a_report_ends_with_the_answer() {
        let result = pb::Payload { data: br#"{"decision":"refund"}"#.as_slice().into(), content_type: String::new() };
        let report =
            invocation(&pb::Invocation { id: "i".into(), result: Some(result), state: 3, ..Default::default() });
        assert!(report.starts_with("i  succeeded") && report.ends_with("{\n  \"decision\": \"refund\"\n}"), "{report}");
    }
}
