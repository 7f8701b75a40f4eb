use proptest::prelude::*;

use super::*;
use crate::{
    domain::{Answer, Finish, ToolCall, Usage},
    provider::http::read_stream,
};

const STREAM: &str = concat!(
    ": hello\r\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"Grüße\"}}]}\n\n",
    "event: x\ndata:{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n",
    ": keepalive\n\ndata:\n\nid: 7\nretry: 10\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
    "data: [DONE]\n\n",
);

fn expected() -> Vec<Part> {
    let call = |id: &str, name: &str, arguments: &str| Part::ToolCall {
        index: 0,
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
    };
    vec![
        Part::Text("Grüße".into()),
        call("a", "f", ""),
        call("", "", "{}"),
        Part::Finish(Finish::ToolCalls),
        Part::Usage(Usage { input_tokens: 3, output_tokens: 4 }),
    ]
}

proptest! {
    #[test]
    fn parts_do_not_depend_on_where_the_wire_cuts(mut cuts in prop::collection::vec(0..STREAM.len(), 0..12)) {
        cuts.extend([0, STREAM.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|ends| &STREAM.as_bytes()[ends[0]..ends[1]]).collect();
        let (chunks, reader) = read_stream(Parts::new(Form::Said), 10_000, &pieces);
        let parts: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.parts).collect();
        prop_assert_eq!(parts, expected());
        prop_assert!(reader.expect("it is well-formed").ended());
    }
}

/// The events as a stream, and what came of it.
fn streamed(events: &[&str]) -> (Answer, Result<Parts, Failure>) {
    let wire: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let (chunks, end) = read_stream(Parts::new(Form::Said), 10_000, &[wire.as_bytes()]);
    let mut answer = Answer::default();
    chunks.iter().flat_map(|chunk| &chunk.parts).for_each(|part| answer.add(part));
    (answer, end)
}

#[test]
fn the_provider_s_own_words_pass_byte_for_byte() {
    let wire = b"data:  {\"x\" : 1.50, \"choices\": [] }  \r\n\r\ndata: [DONE]\n\n";
    let (chunks, _) = read_stream(Parts::new(Form::Json), 10_000, &[wire]);
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].json.as_deref(), Some(&b"{\"x\" : 1.50, \"choices\": [] }"[..]));
}

#[test]
fn an_end_without_the_mark_is_whole_where_all_answers_are_finished() {
    let said = |index: u32| format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"{index}"}}}}]}}"#);
    let done = |index: u32| format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#);
    let complete = |events: &[String]| {
        let events: Vec<_> = events.iter().map(String::as_str).collect();
        let (answer, end) = streamed(&events);
        assert_eq!(answer.text, "0", "the first answer's text alone");
        end.expect("it is well-formed").complete()
    };
    assert!(!complete(&[said(0)]));
    assert!(complete(&[said(0), done(0)]));
    assert!(!complete(&[said(0), said(1), done(0)]));
    assert!(complete(&[said(0), said(1), done(1), done(0)]));
}

#[test]
fn usage_may_come_with_the_last_choice_or_aside_and_the_last_one_counts() {
    let usage = Some(Usage { input_tokens: 3, output_tokens: 5 });
    for event in [
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5}}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":5}}}"#,
        r#"{"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":8}}"#,
    ] {
        let (answer, end) = streamed(&[r#"{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":1}}"#, event]);
        assert!(end.is_ok());
        assert_eq!(answer.usage, usage, "{event}");
    }
    let (answer, _) = streamed(&[r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#]);
    assert_eq!(answer.usage, None, "nobody counted");
}

#[test]
fn tool_calls_without_numbers_are_put_together() {
    let call = |id: &str, arguments: &str| {
        format!(
            r#"{{"choices":[{{"delta":{{"content":null,"tool_calls":[{{"id":{id},"type":"function",
                "function":{{"name":"f","arguments":{arguments}}}}}]}}}}]}}"#
        )
        .replace('\n', "")
    };
    let (answer, end) =
        streamed(&[&call("\"a\"", r#""{\"x\":""#), &call("null", r#""1}""#), &call("\"b\"", r#"{"y":2}"#)]);
    assert!(end.is_ok());
    let called = |id: &str, arguments: &str| ToolCall { id: id.into(), name: "f".into(), arguments: arguments.into() };
    assert_eq!(answer.tool_calls, [called("a", r#"{"x":1}"#), called("b", r#"{"y":2}"#)]);
}

#[test]
fn an_error_inside_of_a_stream_is_known_and_what_came_before_it_stays() {
    let said = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
    for (event, failure) in [
        (r#"{"error":{"message":"slow down","code":429}}"#, Failure::Limited { retry_after: None }),
        (
            r#"{"error":{"type":"overloaded_error","message":"Overloaded"},"choices":[]}"#,
            Failure::Unwell { status: 529, retry_after: None },
        ),
        (r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#, Failure::Unwell { status: 500, retry_after: None }),
        (r#"{"object":"error","message":"oh","code":500}"#, Failure::Unwell { status: 500, retry_after: None }),
        ("<html>", NO_EVENT),
        ("7", NO_EVENT),
    ] {
        let (answer, end) = streamed(&[said, event, said]);
        assert_eq!(end.expect_err("it failed"), failure, "{event}");
        assert_eq!(answer.text, "Hi");
    }
}

#[test]
fn nothing_grows_for_ever() {
    let bounded = |wire: &[&[u8]]| read_stream(Parts::new(Form::Said), 100, wire).1.is_err();
    assert!(!bounded(&[&[b'x'; 60]]));
    assert!(bounded(&[&[b'x'; 60], &[b'x'; 60]]), "a line without an end");
    assert!(streamed(&[r#"{"choices":[{"index":4000000000,"delta":{}}]}"#]).1.is_err(), "answers");
}

#[test]
fn what_waits_for_a_reader_holds_nothing_of_what_was_read_with_it() {
    let piece = Bytes::from_static(br#"{"choices":[{"delta":{"content":"a"}}]}"#);
    let chunk = Parts::new(Form::Json).event(piece.clone()).expect("an event").expect("a chunk");
    let json = chunk.json.expect("the provider's own words");
    assert!(json == piece && !piece.as_ptr_range().contains(&json.as_ptr()));
}
