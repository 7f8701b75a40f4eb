use serde_json::{Value, json};

use super::*;
use crate::{
    domain::{Answer, Finish, ToolCall, Usage},
    provider::http::read_stream,
};

/// The events as a stream, and what came of it.
fn streamed(events: &[Value]) -> (Answer, Result<Parts, Failure>) {
    let kind = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    let wire: String = events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", kind(event))).collect();
    let (chunks, end) = read_stream(Parts::default(), 10_000, &[wire.as_bytes()]);
    let mut answer = Answer::default();
    chunks.iter().flat_map(|chunk| &chunk.parts).for_each(|part| answer.add(part));
    (answer, end)
}

fn start(index: u32, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn opening() -> Value {
    let usage = json!({"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 500, "output_tokens": 1});
    json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": usage}})
}

fn ending() -> [Value; 2] {
    let delta = json!({"stop_reason": "tool_use", "stop_sequence": null});
    [json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}}), json!({"type": "message_stop"})]
}

#[test]
fn an_answer_comes_together_from_its_events() {
    let mut events = vec![
        opening(),
        json!({"type": "ping"}),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "x"})),
        stop(0),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Grüße, "})),
        delta(1, json!({"type": "citations_delta", "citation": {}})),
        delta(1, json!({"type": "text_delta", "text": "Eva"})),
        stop(1),
        start(2, json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"x\":"})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop(2),
        start(3, json!({"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}})),
        stop(3),
        start(4, json!({"type": "tool_use", "id": "toolu_3", "name": "h", "input": {"y": 2}})),
        stop(4),
        json!({"type": "what_is_new"}),
    ];
    events.extend(ending());
    let (answer, end) = streamed(&events);
    assert!(end.expect("it is well-formed").ended());
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
    };
    let tool_calls =
        vec![call("toolu_1", "f", r#"{"x":1}"#), call("toolu_2", "g", "{}"), call("toolu_3", "h", r#"{"y":2}"#)];
    let usage = Some(Usage { input_tokens: 543, output_tokens: 9 });
    let text = "Grüße, Eva".into();
    assert_eq!(answer, Answer { text, tool_calls, finish: Finish::ToolCalls, usage, json: None });
}

#[test]
fn what_was_read_is_known_before_anything_is_said() {
    let (answer, _) = streamed(&[opening()]);
    assert_eq!(answer.usage, Some(Usage { input_tokens: 543, output_tokens: 1 }));
}

#[test]
fn an_end_without_its_mark_is_whole_only_where_the_reason_was_said() {
    let [delta, _] = ending();
    assert!(!streamed(&[opening()]).1.expect("well-formed").complete());
    assert!(streamed(&[opening(), delta]).1.expect("well-formed").complete());
}

#[test]
fn an_error_inside_of_a_stream_is_known() {
    let error = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "oh"}});
    for (event, failure) in [
        (error("overloaded_error"), Failure::Unwell { status: 529, retry_after: None }),
        (error("rate_limit_error"), Failure::Limited { retry_after: None }),
        (error("api_error"), Failure::Unwell { status: 500, retry_after: None }),
        (json!({"type": "error"}), Failure::Unwell { status: 500, retry_after: None }),
        (json!(7), NO_EVENT),
        (json!({"no": "type"}), NO_EVENT),
    ] {
        assert_eq!(streamed(&[opening(), event.clone()]).1.expect_err("it failed"), failure, "{event}");
    }
}

#[test]
fn whole_answers_are_read_alike() {
    let body = json!({
        "type": "message", "stop_reason": "refusal",
        "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1.5}},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        ],
        "usage": {"input_tokens": 3, "cache_read_input_tokens": null, "output_tokens": 4},
    });
    let answer = super::super::answer::read(body.to_string().as_bytes()).expect("an answer");
    let call = ToolCall { id: "t".into(), name: "f".into(), arguments: r#"{"x":1.5}"#.into() };
    let usage = Some(Usage { input_tokens: 3, output_tokens: 4 });
    let expected =
        Answer { text: "ab".into(), tool_calls: vec![call], finish: Finish::ContentFilter, usage, json: None };
    assert_eq!(answer, expected);
    let error = json!({"type": "error", "error": {"type": "overloaded_error"}}).to_string();
    let failure = super::super::answer::read(error.as_bytes());
    assert_eq!(failure, Err(Failure::Unwell { status: 529, retry_after: None }));
    assert!(matches!(super::super::answer::read(b"<html>"), Err(Failure::Broken { .. })));
}

#[test]
fn every_reason_to_stop_has_its_word() {
    for (reason, word) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("tool_use", Finish::ToolCalls),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("refusal", Finish::ContentFilter),
        ("pause_turn", Finish::Other),
        ("something_new", Finish::Other),
    ] {
        assert_eq!(finish(reason), word, "{reason}");
    }
}
