use serde_json::json;

use super::*;

fn said(answer: &serde_json::Value) -> Result<Answer, Failure> {
    read(answer.to_string().as_bytes())
}

#[test]
fn an_answer_is_read_however_much_of_it_is_there() {
    let bare = said(&json!({"choices": [{"message": {"content": "Hi"}}]})).expect("an answer");
    assert_eq!((bare.text.as_str(), bare.usage, bare.finish), ("Hi", None, Finish::Other));
    let nulls = json!({
        "choices": [{"index": null, "finish_reason": null, "delta": null, "logprobs": null, "message": {
            "content": null, "tool_calls": null, "refusal": "I will not."}}],
        "usage": null, "error": null,
    });
    assert_eq!(said(&nulls).expect("an answer").text, "I will not.");
    let parts = json!([{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "Hi"}]);
    assert_eq!(said(&json!({"choices": [{"message": {"content": parts}}]})).expect("an answer").text, "Hi");
}

#[test]
fn all_is_read_that_an_answer_says() {
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": \"ü\"}"}},
        {"id": "b", "function": {"name": "g", "arguments": {"y": 1.50}}},
        {"id": "c", "function": null},
    ]);
    let answer = json!({
        "choices": [
            {"index": 1, "message": {"content": "second"}, "finish_reason": "length"},
            {"index": 0, "message": {"content": "first", "tool_calls": calls}, "finish_reason": "tool_calls"},
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 10, "completion_tokens_details": {}},
    });
    let answer = said(&answer).expect("an answer");
    assert_eq!((answer.text.as_str(), answer.finish), ("first", Finish::ToolCalls));
    assert_eq!(answer.usage, Some(Usage { input_tokens: 3, output_tokens: 7 }), "with what the model thought");
    let arguments: Vec<_> = answer.tool_calls.iter().map(|call| call.arguments.as_str()).collect();
    assert_eq!(arguments, [r#"{"x": "ü"}"#, r#"{"y":1.5}"#, ""]);
}

#[test]
fn what_is_no_answer_says_what_it_is() {
    let limited = json!({"error": {"message": "slow", "code": 429}});
    assert_eq!(said(&limited), Err(Failure::Limited { retry_after: None }));
    assert!(matches!(said(&json!({"error": "model crashed"})), Err(Failure::Unwell { status: 500, .. })));
    assert!(matches!(said(&json!({"object": "error", "code": 400, "message": "x"})), Err(Failure::Rejected { .. })));
    for body in ["", "<html>maintenance</html>", "[]", "{}", r#"{"choices":[]}"#, "null"] {
        assert_eq!(read(body.as_bytes()), Err(NO_ANSWER), "{body}");
    }
}

#[test]
fn a_count_that_cannot_be_is_none() {
    for (usage, counted) in [
        (json!({"prompt_tokens": 100_000_000, "completion_tokens": 1}), true),
        (json!({"prompt_tokens": 100_000_001, "completion_tokens": 1}), false),
        (json!({"prompt_tokens": 1, "completion_tokens": 1e30}), false),
        (json!({"prompt_tokens": 1e30, "completion_tokens": 1}), false),
        (json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 1e300}), false),
        (json!({"prompt_tokens": -5, "completion_tokens": -7}), false),
    ] {
        let answer = said(&json!({"choices": [{"message": {"content": "Hi"}}], "usage": usage})).expect("an answer");
        assert_eq!(answer.usage.is_some(), counted, "{usage}");
    }
}
