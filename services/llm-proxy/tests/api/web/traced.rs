//! What traces show of conversations.

use holdfast_config::Span;
use holdfast_simulator::{Faults, Limits, Of};
use serde_json::json;

use super::keys::Said;
use crate::harness::{Harness, PATIENCE, one_key, provider, said};

/// Nobody shall read it.
const CANARY: &str = "canary-4711";
/// Found where content is traced.
const PLAIN: &str = "plainly-visible";

/// Everything that was said of a call over gRPC and of one over HTTP, each of which the model repeats.
async fn all_that_is_said(more: &str) -> String {
    let (listened, _listening) = Said::listen();
    let toml = one_key("concurrency = 2") + more;
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    let words = json!({"word": PLAIN, "password": CANARY}).to_string();
    harness.ask(said(&words)).await.expect("an answer");
    assert_eq!(harness.chat(&words, json!({})).await.status, 200);
    drop(harness);
    listened.text()
}

#[tokio::test]
async fn prompts_and_answers_are_in_no_log_and_no_span_unless_asked_for() {
    let said = all_that_is_said("").await;
    assert!(said.contains("chat m") && said.contains("chatcmpl-simulated"), "it listens where spans end: {said}");
    assert!(!said.contains(PLAIN) && !said.contains(CANARY), "{said}");
}

#[tokio::test]
async fn content_that_is_asked_for_is_in_the_span_without_what_is_to_be_left_out() {
    let said = all_that_is_said("trace_content = true\nredact = [\"password\"]\n").await;
    for field in ["gen_ai.input.messages", "gen_ai.output.messages", PLAIN, "[redacted]"] {
        assert!(said.contains(field), "{field} is wanted: {said}");
    }
    assert!(!said.contains(CANARY), "{said}");
}

#[tokio::test]
async fn a_wait_in_line_has_a_span_of_its_own_and_a_call_that_waits_for_nobody_has_not() {
    let (listened, _listening) = Said::listen();
    let provider = provider(&[("simulated", Limits::default())]).await;
    let harness = Harness::start(one_key("concurrency = 1"), provider).await;
    harness.say_within("hi", PATIENCE).await.expect("an answer");
    assert!(!listened.text().contains("llm.wait"), "nobody was before it");

    harness.provider.set_faults(Of::Provider, Faults { latency: Span::from_millis(100), ..Faults::default() });
    let (one, other) = tokio::join!(harness.say_within("hi", PATIENCE), harness.say_within("hi", PATIENCE));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    let text = listened.text();
    let ended = |line: &&str| line.contains("llm.wait{holdfast.deployment=") && line.contains("close");
    assert!(text.lines().any(|line| ended(&line)), "{text}");
}
