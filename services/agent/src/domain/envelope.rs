//! How a tool's answer is told to a model. What the tool itself said goes through untouched; what stands in for it comes
//! in an envelope that says so, and how to treat it: a model cannot tell a stale answer from a fresh one by itself.

use holdfast_sdk::{Outcome, ToolAnswer};
use serde_json::json;

pub(crate) fn told(answer: &ToolAnswer) -> String {
    let (outcome, how_to_treat) = match answer.outcome {
        Outcome::Real | Outcome::ToolError => return String::from_utf8_lossy(&answer.content).into_owned(),
        Outcome::Cached => (
            "CACHED",
            "The tool did not answer; this is its last good answer to the same question. It may be out of date: \
             rely on it only where that does no harm, and say that it may be old.",
        ),
        Outcome::Degraded => (
            "DEGRADED",
            "The tool did not answer; this is a substitute. Use it with care, and say that it is not the real answer.",
        ),
        Outcome::Unavailable => (
            "UNAVAILABLE",
            "The tool did not answer. Follow the advice in the content, and do not make the answer up. Where the call was to \
             change something, do not say that it has: find out before you call again.",
        ),
        Outcome::Unknown => (
            "UNKNOWN",
            "The call may have taken effect, and its answer is lost. Do not call again to repeat the effect; find out \
             by other means whether it happened, or say that it is not known.",
        ),
    };
    let mut envelope = json!({
        "outcome": outcome,
        "reason": answer.degraded_reason,
        "how_to_treat": how_to_treat,
        "content": answer.json(),
    });
    if let Some(age) = answer.age {
        envelope["age_seconds"] = json!(age.as_secs());
    }
    envelope.to_string()
}

/// A call that was not made, because the model asked for it wrongly: it may correct itself.
pub(crate) fn mistake(error: &str, message: &str) -> String {
    json!({ "error": error, "message": message }).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast_sdk::Json;

    use super::*;

    fn answer(outcome: Outcome) -> ToolAnswer {
        ToolAnswer {
            content: r#"{"n": 1}"#.into(),
            content_type: "application/json".into(),
            outcome,
            degraded_reason: "CIRCUIT_OPEN".into(),
            age: (outcome == Outcome::Cached).then_some(Duration::from_secs(90)),
            replayed: false,
        }
    }

    #[test]
    fn a_tools_own_words_go_through_untouched() {
        for outcome in [Outcome::Real, Outcome::ToolError] {
            assert_eq!(told(&answer(outcome)), r#"{"n": 1}"#);
        }
    }

    #[test]
    fn what_stands_in_for_a_tool_says_so() {
        for (outcome, name) in [
            (Outcome::Cached, "CACHED"),
            (Outcome::Degraded, "DEGRADED"),
            (Outcome::Unavailable, "UNAVAILABLE"),
            (Outcome::Unknown, "UNKNOWN"),
        ] {
            let told: Json = serde_json::from_str(&told(&answer(outcome))).expect("JSON");
            assert_eq!((&told["outcome"], &told["content"]["n"]), (&json!(name), &json!(1)));
            assert_eq!(told.get("age_seconds").is_some(), outcome == Outcome::Cached);
            assert!(told["how_to_treat"].as_str().is_some_and(|text| text.len() > 20));
        }
    }
}
