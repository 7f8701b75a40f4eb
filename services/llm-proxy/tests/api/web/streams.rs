//! Answers as server-sent events.

use futures::StreamExt as _;
use holdfast_config::Span;
use holdfast_simulator::{Faults, Of, Script, ScriptCall, Step};
use serde_json::{Value, json};

use super::{
    answers::gone,
    client::{asked, told},
};
use crate::{
    harness::{Harness, PATIENCE, one_key, provider},
    stub::Stub,
};

/// What the first choices of a stream say together.
fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_stream_is_the_whole_answer_in_the_providers_own_events() {
    let harness = Harness::plain().await;
    let whole = harness.chat("tell me everything", json!({})).await.json();
    let streamed = harness.chat("tell me everything", json!({"stream": true})).await;
    assert_eq!(streamed.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(
        (streamed.header("cache-control"), streamed.header("x-accel-buffering")),
        (Some("no-cache"), Some("no"))
    );
    assert_eq!(streamed.header("x-request-id").map(str::len), Some(32));
    assert_eq!(streamed.header("holdfast-deployment"), Some("sim/simulated-model"));
    assert!(streamed.header("holdfast-waited-ms").is_some() && streamed.header("holdfast-degraded").is_none());
    let events = streamed.events();
    assert_eq!(events.last(), Some(&json!("[DONE]")));
    assert_eq!(text(&events), whole["choices"][0]["message"]["content"].as_str().expect("text"));
    for event in &events[..events.len() - 1] {
        assert_eq!((&event["object"], &event["model"]), (&json!("chat.completion.chunk"), &json!("simulated-model")));
        assert_eq!(event["choices"].as_array().map(Vec::len), Some(1), "nobody asked what it cost: {event}");
    }
}

#[tokio::test]
async fn what_a_stream_cost_is_told_to_who_asks() {
    let harness = Harness::plain().await;
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let events = harness.chat("tell me", more).await.events();
    let [.., usage, done] = &events[..] else { panic!("{events:?}") };
    let key = harness.provider.counts().key("simulated");
    assert_eq!((&usage["choices"], done), (&json!([]), &json!("[DONE]")));
    assert_eq!(usage["usage"]["total_tokens"], json!(key.prompt_tokens + key.completion_tokens));
}

#[tokio::test]
async fn calls_of_tools_come_in_parts() {
    let harness = Harness::plain().await;
    let call = ScriptCall { tool: "look".into(), arguments: json!({"for": "a long argument"}) };
    let step = Step { text: String::new(), calls: vec![call] };
    harness.provider.add_scripts([("s".to_owned(), Script { steps: vec![step] })].into());
    let events = harness.chat("script:s", json!({"stream": true})).await.events();
    let parts: Vec<_> = events.iter().filter_map(|event| event["choices"][0]["delta"].get("tool_calls")).collect();
    assert_eq!((&parts[0][0]["function"]["name"], &parts[0][0]["type"]), (&json!("look"), &json!("function")));
    let arguments: String = parts.iter().filter_map(|part| part[0]["function"]["arguments"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&arguments).expect("JSON"), json!({"for": "a long argument"}));
}

#[tokio::test]
async fn a_models_fallback_comes_as_a_stream_too() {
    let harness = Harness::start(gone(), provider(&[]).await).await;
    let answer = harness.chat("hi", json!({"stream": true})).await;
    assert_eq!((answer.header("holdfast-degraded"), answer.header("holdfast-deployment")), (Some("true"), None));
    let events = answer.events();
    assert_eq!(text(&events), "Later.");
    let [first, .., last, done] = &events[..] else { panic!("{events:?}") };
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!((&last["choices"][0]["finish_reason"], done), (&json!("stop"), &json!("[DONE]")));
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_an_error_and_without_the_mark_of_the_end() {
    let harness = Harness::plain().await;
    let faults = Faults { disconnect_rate: 1.0, disconnect_after: 3, ..Faults::default() };
    harness.provider.set_faults(Of::Provider, faults);
    let answer = harness.chat("tell me everything", json!({"stream": true})).await;
    assert_eq!(answer.status, 200);
    let events = answer.events();
    let error = &events.last().expect("an event")["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("unavailable")), "{events:?}");
    assert!(!text(&events).is_empty(), "what came was passed on");
}

#[tokio::test]
async fn a_stream_that_cannot_begin_is_refused_by_its_status() {
    let harness = Harness::plain().await;
    harness.provider.set_faults(Of::Provider, Faults { error_rate: 1.0, error_status: 500, ..Faults::default() });
    let answer = harness.chat("hi", json!({"stream": true})).await;
    assert_eq!(answer.error(), (503, json!(["server_error", null, "unavailable"])));
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn an_error_in_one_piece_is_what_it_says_whatever_its_status() {
    for error in [
        r#"{"error":{"message":"no such role","type":"invalid_request_error","param":"messages"}}"#,
        "{\n \"error\": {\n  \"message\": \"no such role\", \"type\": \"invalid_request_error\",\n  \"param\": \"messages\"}\n}\n",
    ] {
        let stub = Stub::start(vec![error.to_owned()]).await;
        let harness = Harness::start(stub.toml(), provider(&[]).await).await;
        let answer = harness.chat("hi", json!({"stream": true})).await;
        assert_eq!(answer.error(), (400, json!(["invalid_request_error", "messages", null])), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_call_at_the_provider() {
    let harness = Harness::plain().await;
    let faults = Faults { per_token: Span::from_millis(20), ..Faults::default() };
    harness.provider.set_faults(Of::Provider, faults);
    let more = json!({"stream": true, "metadata": {"output_tokens": 100_000}});
    let answer = harness.post(&asked("hi", more)).send().await.expect("it begins");
    let mut body = answer.bytes_stream();
    body.next().await.expect("an event").expect("it is read");
    drop(body);
    let ended = harness.provider.until(|counts| counts.key("simulated").broken_off == 1);
    tokio::time::timeout(PATIENCE, ended).await.expect("the provider is told");

    // Before an answer has begun, too.
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, ..Faults::default() });
    for stream in [true, false] {
        let before = harness.provider.counts().key("simulated");
        let request = harness.post(&asked("hi", json!({"stream": stream})));
        let call = tokio::spawn(told(request));
        harness.provider.until(|counts| counts.key("simulated").requests > before.requests).await;
        call.abort();
        let ended = harness.provider.until(|counts| counts.key("simulated").broken_off > before.broken_off);
        tokio::time::timeout(PATIENCE, ended).await.expect("the provider is told");
    }
}

#[tokio::test]
async fn a_deadline_of_the_whole_ends_a_stream_with_a_word() {
    let harness = Harness::plain().await;
    harness.provider.set_faults(Of::Provider, Faults { per_token: Span::from_millis(20), ..Faults::default() });
    let more = json!({"stream": true, "metadata": {"output_tokens": 100_000}});
    let answer = told(harness.post(&asked("hi", more)).header("holdfast-timeout", "0.5")).await;
    let events = answer.events();
    assert_eq!(events.last().expect("an event")["error"]["code"], "deadline_exceeded", "{events:?}");
    harness.provider.until(|counts| counts.key("simulated").broken_off == 1).await;
}

#[tokio::test]
async fn what_a_library_waits_for_the_beginning_is_no_end_of_a_stream() {
    let harness = Harness::plain().await;
    harness.provider.set_faults(Of::Provider, Faults { per_token: Span::from_millis(30), ..Faults::default() });
    let more = json!({"stream": true, "metadata": {"output_tokens": 20}});
    let answer = told(harness.post(&asked("hi", more)).header("x-stainless-timeout", "0.3")).await;
    assert_eq!(answer.events().last(), Some(&json!("[DONE]")), "it took longer as a whole, and began in time");
}

#[tokio::test]
async fn a_stream_whose_client_names_no_end_has_one() {
    let toml = "[llm_proxy]\nanswer_max = \"300ms\"\n".to_owned() + &one_key("concurrency = 2");
    let harness = Harness::start(toml, provider(&[("simulated", Default::default())]).await).await;
    harness.provider.set_faults(Of::Provider, Faults { per_token: Span::from_millis(20), ..Faults::default() });
    let more = json!({"stream": true, "metadata": {"output_tokens": 100_000}});
    let events = harness.chat("hi", more).await.events();
    assert_eq!(events.last().expect("an event")["error"]["code"], "deadline_exceeded", "{events:?}");
    harness.provider.until(|counts| counts.key("simulated").broken_off == 1).await;
}
