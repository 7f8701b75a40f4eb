//! What is refused, in OpenAI's words, and when to come back.

use std::time::{Duration, Instant};

use holdfast_simulator::{Faults, Limits, Of};
use serde_json::json;

use super::client::{asked, told};
use crate::{
    harness::{Harness, PATIENCE, allowed, model, one_key, provider},
    stub::Stub,
};

#[tokio::test]
async fn what_is_ill_said_names_its_field_and_reaches_nobody() {
    let harness = Harness::plain().await;
    let invalid = |param: &str| (400, json!(["invalid_request_error", param, null]));
    for (body, param) in [
        (asked("hi", json!({"model": null})), "model"),
        (asked("hi", json!({"messages": []})), "messages"),
        (asked("hi", json!({"stream": "yes"})), "stream"),
        (asked("hi", json!({"stream_options": {"include_usage": true}})), "stream_options"),
        (asked("hi", json!({"max_tokens": 5, "max_completion_tokens": 5})), "max_tokens"),
        (asked("hi", json!({"max_completion_tokens": u32::MAX})), "max_completion_tokens"),
        (asked("hi", json!({"max_tokens": u32::MAX})), "max_tokens"),
        (asked("hi", json!({"n": 1.5})), "n"),
        (asked("hi", json!({"n": 129, "stream": true})), "n"),
        (asked("hi", json!({"best_of": "8"})), "best_of"),
    ] {
        assert_eq!(told(harness.post(&body)).await.error(), invalid(param), "{body}");
    }
    assert_eq!(
        told(harness.post_text("{\"model\":")).await.error(),
        (400, json!(["invalid_request_error", null, null]))
    );
    for (name, value) in [("holdfast-timeout", "soon"), ("holdfast-priority", "1000")] {
        let refused = told(harness.post(&asked("hi", json!({}))).header(name, value)).await;
        assert_eq!(refused.error(), invalid(name));
    }
    assert_eq!(harness.provider.counts().key("simulated").requests, 0);
}

#[tokio::test]
async fn what_a_provider_says_of_the_limit_of_tokens_names_the_field_that_was_sent() {
    let error = r#"{"error":{"code":400,"message":"too many","param":"max_tokens"}}"#;
    let stub = Stub::start(vec![error.to_owned()]).await;
    let harness = Harness::start(stub.toml(), provider(&[]).await).await;
    let refused = harness.chat("hi", json!({"max_completion_tokens": 9})).await;
    assert_eq!(refused.error(), (400, json!(["invalid_request_error", "max_completion_tokens", null])));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let harness = Harness::plain().await;
    let unknown = (404, json!(["invalid_request_error", null, "model_not_found"]));
    assert_eq!(harness.chat("hi", json!({"model": "gpt-99"})).await.error(), unknown);
    assert_eq!(told(harness.get("/v1/models/gpt-99")).await.error(), unknown);
    let no_text = told(harness.get("/v1/models/%ff")).await;
    assert_eq!(no_text.error(), unknown);
    let too_long = (400, json!(["invalid_request_error", "model", null]));
    assert_eq!(harness.chat("hi", json!({"model": "m".repeat(257)})).await.error(), too_long);
    let no_path = (404, json!(["invalid_request_error", null, "unknown_url"]));
    assert_eq!(told(harness.get("/v1/embeddings")).await.error(), no_path);
    let no_method = (404, json!(["invalid_request_error", null, "method_not_allowed"]));
    assert_eq!(told(harness.get("/v1/chat/completions")).await.error(), no_method);
}

#[tokio::test]
async fn what_the_provider_refuses_is_refused_in_its_words() {
    let harness = Harness::plain().await;
    let refused = harness.chat(&"word ".repeat(200_000), json!({})).await;
    assert_eq!(refused.error(), (400, json!(["invalid_request_error", null, "context_length_exceeded"])));
    let told = refused.json()["error"]["message"].as_str().expect("text").to_owned();
    assert!(told.contains("simulated-model: ") && told.contains("tokens"), "{told}");
}

/// One request in any two seconds.
async fn hurried() -> Harness {
    let simulator = provider(&[("simulated", allowed(Some(1), None, 2_000))]).await;
    let harness =
        Harness::start(model("{ name = \"simulated\", requests_per_minute = 1 }", "window = \"2s\""), simulator).await;
    assert_eq!(harness.chat("hi", json!({})).await.status, 200);
    harness
}

#[tokio::test]
async fn a_call_that_would_wait_past_its_deadline_is_told_when_there_is_a_place() {
    for deadline in [("holdfast-timeout", "0.3"), ("x-stainless-timeout", "1"), ("x-stainless-read-timeout", "0.3")] {
        let harness = hurried().await;
        let call = || harness.post(&asked("hi", json!({}))).header(deadline.0, deadline.1);
        let refused = told(call()).await;
        assert_eq!(refused.error(), (429, json!(["rate_limit_error", null, "rate_limit_exceeded"])));
        assert_eq!(refused.header("x-should-retry"), Some("true"));
        let wait: u64 = refused.header("retry-after-ms").expect("it is told").parse().expect("a number");
        let seconds: u64 = refused.header("retry-after").expect("it is told").parse().expect("a number");
        assert!((1..=3_500).contains(&wait) && seconds == wait.div_ceil(1_000), "{wait} ms, {seconds} s");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(told(call()).await.status, 200, "{deadline:?}: it was told the truth");
        assert_eq!(harness.provider.counts().key("simulated").requests, 2);
    }
}

#[tokio::test]
async fn a_call_that_may_wait_is_answered_in_its_turn() {
    let harness = hurried().await;
    let answer = harness.chat("hi", json!({})).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("holdfast-waited-ms").expect("it is told").parse::<u64>().expect("a number") > 0);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_while_the_provider_is_silent() {
    let harness = Harness::plain().await;
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, ..Faults::default() });
    for (name, stream) in [("holdfast-timeout", false), ("x-stainless-timeout", true)] {
        let started = Instant::now();
        let call = told(harness.post(&asked("hi", json!({"stream": stream}))).header(name, "1"));
        let ended = tokio::time::timeout(PATIENCE, call).await.expect("it ends");
        assert_eq!(ended.error(), (504, json!(["timeout_error", null, "deadline_exceeded"])));
        assert!(started.elapsed() >= Duration::from_secs(1), "not before");
    }
    harness.provider.until(|counts| counts.key("simulated").in_flight == 0).await;
}

#[tokio::test]
async fn a_wait_of_minutes_is_told_and_not_to_be_waited_for() {
    let harness = Harness::start(one_key("concurrency = 4"), provider(&[("simulated", Limits::default())]).await).await;
    let faults = Faults {
        error_rate: 1.0,
        error_status: 429,
        error_retry_after: Some(300),
        times: Some(1),
        ..Faults::default()
    };
    harness.provider.set_faults(Of::Provider, faults);
    let refused = told(harness.post(&asked("hi", json!({}))).header("holdfast-timeout", "5")).await;
    assert_eq!((refused.status, refused.header("x-should-retry")), (429, Some("false")));
    assert!(refused.header("retry-after").expect("it is told").parse::<u64>().expect("a number") > 290);
}
