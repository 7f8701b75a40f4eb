//! Tools and their answers.

use holdfast_proto::tool::v1::call_tool_response::Timing;
use holdfast_proto::tool::v1::{CallToolResponse, CircuitState, Effect, FallbackKind, Outcome, Tool};
use prost_types::Duration as Span;
use serde_json::{Value, json};

use super::json::{circuit_state, content_json, millis};

/// A tool, with where its circuit stands if that may be known.
pub(crate) fn tool_json(tool: &Tool, circuit: Option<CircuitState>) -> Value {
    json!({
        "name": tool.name,
        "effect": effect(tool.effect()),
        "circuit": circuit.map(circuit_state),
        "fallbacks": fallbacks(tool),
        "description": tool.description,
        "input_schema": content_json(&tool.input_schema, "application/json"),
    })
}

/// A tool in a list.
pub(crate) fn tool_row(tool: &Tool, circuit: Option<CircuitState>) -> String {
    let (effect, circuit) = (effect(tool.effect()), circuit.map_or("-", circuit_state));
    let chain = fallbacks(tool).join(", then ");
    let description = tool.description.lines().next().unwrap_or_default();
    format!("{:<24}  {effect:<10}  {circuit:<9}  {chain:<28}  {description}", tool.name).trim_end().to_owned()
}

/// What a call came to, and how.
pub(crate) fn tool_answer_json(tool: &str, answer: &CallToolResponse) -> Value {
    let timing = answer.timing.unwrap_or_default();
    json!({
        "tool": tool,
        "outcome": outcome(answer.outcome()),
        "reason": Some(&answer.degraded_reason).filter(|reason| !reason.is_empty()),
        "fallback": fallback(answer.fallback()),
        "fallback_tool": Some(&answer.fallback_tool).filter(|tool| !tool.is_empty()),
        "age_ms": answer.age.as_ref().map(millis),
        "replayed": answer.replayed,
        "timing": {
            "waited_ms": timing.waited.as_ref().map(exact_millis),
            "called_ms": timing.called.as_ref().map(exact_millis),
            "attempts": timing.attempts,
        },
        "content": content_json(&answer.content, &answer.content_type),
    })
}

/// The same for people: one line about the call, then its content.
pub(crate) fn tool_answer(answer: &CallToolResponse) -> String {
    let mut about = vec![outcome(answer.outcome()).to_owned()];
    if !answer.degraded_reason.is_empty() {
        about.push(answer.degraded_reason.clone());
    }
    if let Some(kind) = fallback(answer.fallback()) {
        about.push(format!("by {kind} {}", answer.fallback_tool).trim_end().to_owned());
    }
    if let Some(age) = &answer.age {
        about.push(format!("{} s old", millis(age) / 1_000));
    }
    if answer.replayed {
        about.push("as recorded".into());
    }
    about.push(took(&answer.timing.unwrap_or_default()));
    let content = match content_json(&answer.content, &answer.content_type) {
        Value::String(text) => text,
        other => format!("{other:#}"),
    };
    format!("{}\n{content}", about.join("  "))
}

fn took(timing: &Timing) -> String {
    let span = |span: &Option<Span>| span.as_ref().map_or(0.0, exact_millis);
    let attempts = if timing.attempts == 1 { "attempt" } else { "attempts" };
    let (waited, called) = (span(&timing.waited), span(&timing.called));
    format!("waited {waited:.1} ms, called {called:.1} ms, {} {attempts}", timing.attempts)
}

/// To the microsecond: a call is short.
fn exact_millis(span: &Span) -> f64 {
    span.seconds as f64 * 1e3 + f64::from(span.nanos / 1_000) / 1e3
}

fn fallbacks(tool: &Tool) -> Vec<&'static str> {
    tool.fallbacks().map(|kind| fallback(kind).unwrap_or("unknown")).collect()
}

/// As the configuration writes it.
fn fallback(kind: FallbackKind) -> Option<&'static str> {
    match kind {
        FallbackKind::Unspecified => None,
        FallbackKind::Fixed => Some("fixed"),
        FallbackKind::LastGood => Some("last_good"),
        FallbackKind::Tool => Some("tool"),
        FallbackKind::Unavailable => Some("unavailable"),
    }
}

/// As the configuration writes it.
fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Unspecified => "unknown",
        Effect::ReadOnly => "read_only",
        Effect::Idempotent => "idempotent",
        Effect::Effectful => "effectful",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Real => "real",
        Outcome::ToolError => "tool_error",
        Outcome::Cached => "cached",
        Outcome::Degraded => "degraded",
        Outcome::Unavailable => "unavailable",
        // What a newer mesh may say is treated with the most care.
        Outcome::Unknown | Outcome::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached() -> CallToolResponse {
        CallToolResponse {
            content: br#"{"n":1}"#.to_vec().into(),
            content_type: "application/json".into(),
            outcome: Outcome::Cached.into(),
            degraded_reason: "TIMEOUT".into(),
            fallback: FallbackKind::LastGood.into(),
            age: Some(Span { seconds: 12, nanos: 0 }),
            timing: Some(Timing {
                waited: Some(Span { seconds: 0, nanos: 41_900 }),
                called: Some(Span { seconds: 1, nanos: 500_000_000 }),
                attempts: 2,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn an_answer_says_where_it_comes_from_and_what_it_took() {
        let document = tool_answer_json("search", &cached());
        let wanted = json!({"tool": "search", "outcome": "cached", "reason": "TIMEOUT", "fallback": "last_good",
            "fallback_tool": null, "age_ms": 12_000, "replayed": false, "timing": {"waited_ms": 0.041, "called_ms": 1_500.0, "attempts": 2}, "content": {"n": 1}});
        assert_eq!(document, wanted);
        let text = tool_answer(&cached());
        assert!(
            text.starts_with("cached  TIMEOUT  by last_good  12 s old  waited 0.0 ms, called 1500.0 ms, 2 attempts\n"),
            "{text}"
        );
    }

    #[test]
    fn a_tool_is_one_line_with_effect_circuit_and_chain() {
        let tool = Tool {
            name: "search".into(),
            description: "Searches.\nIn depth.".into(),
            effect: Effect::ReadOnly.into(),
            fallbacks: vec![FallbackKind::LastGood.into(), FallbackKind::Unavailable.into()],
            ..Default::default()
        };
        let row = tool_row(&tool, Some(CircuitState::Open));
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(words, ["search", "read_only", "open", "last_good,", "then", "unavailable", "Searches."]);
        assert_eq!(tool_json(&tool, None)["circuit"], Value::Null);
    }
}
