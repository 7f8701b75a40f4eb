use serde_json::{Value, json};

use super::*;
use crate::domain::{Ask, Form};

/// What a request with these fields becomes.
fn written(fields: &Value) -> Result<Value, String> {
    let fields = serde_json::from_value(fields.clone()).expect("an object");
    let ask = Ask { fields, form: Form::Json, ..Ask::default() };
    let question = Question { ask: &ask, model: "claude", max_output_tokens: None, streamed: false };
    match body(question) {
        Ok(body) => Ok(serde_json::from_slice(&body).expect("JSON")),
        Err(Failure::Untranslatable { field, .. }) => Err(field),
        Err(other) => panic!("{other}"),
    }
}

/// The same with one thing that the user says beside the fields: what it has beside that.
fn beside(mut fields: Value) -> Result<Value, String> {
    fields["messages"] = json!([{"role": "user", "content": "hi"}]);
    let mut body = written(&fields)?;
    let object = body.as_object_mut().expect("an object");
    assert_eq!(object.remove("messages"), Some(json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}])));
    assert_eq!((object.remove("model"), object.remove("max_tokens")), (Some(json!("claude")), Some(json!(4096))));
    Ok(body)
}

/// What the messages become.
fn said(messages: Value) -> Result<Value, String> {
    written(&json!({ "messages": messages })).map(|body| json!([body["system"], body["messages"]]))
}

/// The field that there is no word for.
fn wordless<T: std::fmt::Debug>(written: Result<T, String>) -> String {
    written.expect_err("there is no word for it")
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn a_whole_conversation_with_tools_is_put_into_anthropic_s_words() {
    let messages = json!([
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What is it?", "name": "eva"},
        {"role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": [
            {"id": "call:1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.50}"}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "call:1", "content": "one"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "And?"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "Well:"},
    ]);
    let system =
        json!([text("Be kind."), {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
    let turns = json!([
        {"role": "user", "content": [text("What is it?")]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1.5}},
            {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": [text("one")]},
            {"type": "tool_result", "tool_use_id": "call_2", "content": [text("two")]},
            text("And?"),
        ]},
        {"role": "assistant", "content": [text("Well:")]},
    ]);
    assert_eq!(said(messages), Ok(json!([system, turns])));
}

#[test]
fn pictures_and_documents_are_carried_over() {
    let content = json!([
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
    ]);
    let blocks = json!([
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        {"type": "document", "title": "a.pdf",
         "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
    ]);
    let turns = json!([{"role": "user", "content": blocks}]);
    assert_eq!(said(json!([{"role": "user", "content": content}])), Ok(json!([null, turns])));
}

#[test]
fn what_is_empty_is_left_out_where_that_changes_nothing() {
    let messages = json!([
        {"role": "system", "content": ""},
        {"role": "user", "content": [text("a"), text("")]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "", "refusal": "No."},
    ]);
    let turns = json!([
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("No.")]},
    ]);
    assert_eq!(said(messages), Ok(json!([null, turns])));
    assert_eq!(wordless(said(json!([{"role": "user", "content": ""}]))), "messages[0].content");
}

#[test]
fn a_message_without_a_word_is_refused_by_its_place() {
    let call = |call: Value| json!([{"role": "assistant", "tool_calls": [call]}]);
    let part = |part: Value| json!([{"role": "user", "content": [text("a"), part]}]);
    for (messages, place) in [
        (json!(null), "messages"),
        (json!([7]), "messages"),
        (json!([{"role": "user", "content": 7}]), "messages[0].content"),
        (json!([{"role": "judge", "content": "x"}]), "messages[0].role"),
        (json!([{"role": "function", "name": "f", "content": "x"}]), "messages[0].role"),
        (json!([{"role": "user", "content": "x", "mood": 7}]), "messages[0].mood"),
        (json!([{"role": "assistant", "audio": {"id": "x"}}]), "messages[0].audio"),
        (json!([{"role": "assistant", "function_call": {"name": "f"}}]), "messages[0].function_call"),
        (
            call(json!({"id": "a", "function": {"name": "f", "arguments": "[]"}})),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            call(json!({"id": "a", "function": {"name": "f", "arguments": "{\"x\":"}})),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (call(json!({"id": "a", "type": "custom", "custom": {}})), "messages[0].tool_calls[0].type"),
        (part(json!({"type": "input_audio", "input_audio": {}})), "messages[0].content[1].type"),
        (part(json!({"type": "image_url", "image_url": {"url": "ftp://x"}})), "messages[0].content[1].image_url.url"),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/png,x"}})),
            "messages[0].content[1].image_url.url",
        ),
        (part(json!({"type": "file", "file": {"file_id": "x"}})), "messages[0].content[1].file.file_id"),
        (part(json!({"type": "text", "text": "x", "mood": 7})), "messages[0].content[1].mood"),
    ] {
        assert_eq!(wordless(said(messages.clone())), place, "{messages}");
    }
}

#[test]
fn tools_and_their_choice_are_carried_over() {
    let function = json!({"name": "f", "description": "d", "parameters": {"type": "object", "x": 1}, "strict": true});
    let tools = json!([
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "g", "strict": false}, "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ]);
    let offered = json!([
        {"name": "f", "description": "d", "input_schema": {"type": "object", "x": 1}, "strict": true},
        {"name": "g", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ]);
    assert_eq!(beside(json!({"tools": tools})), Ok(json!({"tools": offered})));
    let one = json!({"type": "function", "function": {"name": "f"}});
    for (choice, parallel, chosen) in [
        (json!("auto"), json!(null), json!({"type": "auto"})),
        (json!("none"), json!(false), json!({"type": "none"})),
        (json!("required"), json!(true), json!({"type": "any"})),
        (one.clone(), json!(false), json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true})),
        (json!(null), json!(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
    ] {
        let fields = json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": parallel});
        assert_eq!(beside(fields), Ok(json!({"tools": offered, "tool_choice": chosen})), "{choice}");
    }
    assert_eq!(beside(json!({"parallel_tool_calls": false})), Ok(json!({})), "there is nothing to call");
    let custom = json!([{"type": "custom", "custom": {"name": "c"}}]);
    assert_eq!(wordless(beside(json!({"tools": custom}))), "tools[0].type");
    assert_eq!(wordless(beside(json!({"tools": [{"type": "function", "function": {"a": 1}}]}))), "tools[0].function.a");
    assert_eq!(wordless(beside(json!({"tool_choice": "whatever"}))), "tool_choice");
    assert_eq!(wordless(beside(json!({"tool_choice": {"type": "allowed_tools"}}))), "tool_choice.type");
}

#[test]
fn how_the_answer_is_to_be_is_carried_over() {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let wanted = json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}});
    let format = json!({"format": {"type": "json_schema", "schema": schema}});
    assert_eq!(beside(json!({"response_format": wanted})), Ok(json!({"output_config": format})));
    assert_eq!(beside(json!({"response_format": {"type": "text"}})), Ok(json!({})));
    assert_eq!(wordless(beside(json!({"response_format": {"type": "json_object"}}))), "response_format.type");
    let missing = json!({"type": "json_schema", "json_schema": {"name": "x"}});
    assert_eq!(wordless(beside(json!({"response_format": missing}))), "response_format.json_schema.schema");
    for (effort, said) in [("minimal", "low"), ("high", "high"), ("max", "max")] {
        assert_eq!(beside(json!({"reasoning_effort": effort})), Ok(json!({"output_config": {"effort": said}})));
    }
    let own = json!({"output_config": {"effort": "low", "new": 1}, "reasoning_effort": "high"});
    assert_eq!(beside(own), Ok(json!({"output_config": {"effort": "low", "new": 1}})), "Anthropic's own words stay");
    assert_eq!(beside(json!({"reasoning_effort": "none"})), Ok(json!({"thinking": {"type": "disabled"}})));
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 2048}, "reasoning_effort": "none"});
    assert_eq!(beside(thinking), Ok(json!({"thinking": {"type": "enabled", "budget_tokens": 2048}})));
}

#[test]
fn other_fields_are_said_in_anthropic_s_words_or_pass_untouched() {
    let fields =
        json!({"stop": "x", "temperature": 0.5, "top_p": 0.1, "top_k": 5, "user": "eva", "what_is_new": {"a": [1]}});
    let said = json!({
        "stop_sequences": ["x"], "temperature": 0.5, "top_p": 0.1, "top_k": 5, "metadata": {"user_id": "eva"},
        "what_is_new": {"a": [1]},
    });
    assert_eq!(beside(fields), Ok(said));
    assert_eq!(beside(json!({"stop": ["x", "y"]})), Ok(json!({"stop_sequences": ["x", "y"]})));
    let user = json!({"user": "a", "safety_identifier": "b", "metadata": {"user_id": "c", "label": "d"}});
    assert_eq!(beside(user), Ok(json!({"metadata": {"user_id": "c"}})));
    assert_eq!(beside(json!({"service_tier": "standard_only"})), Ok(json!({"service_tier": "standard_only"})));
    assert_eq!(wordless(beside(json!({"stop": 7}))), "stop");
    assert_eq!(wordless(beside(json!({"stop": "x", "stop_sequences": ["y"]}))), "stop_sequences");
    let twice = json!({"system": "a", "messages": [{"role": "system", "content": "b"}]});
    assert_eq!(wordless(written(&twice)), "system");
}

#[test]
fn a_field_without_a_word_is_refused_by_its_name_unless_it_asks_for_nothing() {
    for (name, nothing, something) in [
        ("n", json!(1), json!(2)),
        ("presence_penalty", json!(0), json!(0.5)),
        ("frequency_penalty", json!(0.0), json!(-1)),
        ("logit_bias", json!({}), json!({"7": 1})),
        ("logprobs", json!(false), json!(true)),
        ("top_logprobs", json!(0), json!(5)),
        ("modalities", json!(["text"]), json!(["text", "audio"])),
        ("verbosity", json!("medium"), json!("low")),
        ("service_tier", json!("default"), json!("flex")),
        ("audio", json!(null), json!({"voice": "x"})),
        ("web_search_options", json!(null), json!({})),
        ("functions", json!(null), json!([{"name": "f"}])),
        ("function_call", json!(null), json!("auto")),
    ] {
        assert_eq!(beside(json!({ name: nothing })), Ok(json!({})), "{name}");
        assert_eq!(beside(json!({ name: null })), Ok(json!({})), "{name}");
        assert_eq!(wordless(beside(json!({ name: something }))), name);
    }
    for name in ["prediction", "prompt_cache_key", "prompt_cache_retention", "seed", "store"] {
        assert_eq!(beside(json!({ name: 7 })), Ok(json!({})), "{name}");
    }
}

#[test]
fn a_limit_of_tokens_and_a_stream_are_asked_for() {
    let fields = serde_json::from_value(json!({"messages": [{"role": "user", "content": "x"}]})).expect("an object");
    let ask = Ask { fields, ..Ask::default() };
    let question = Question { ask: &ask, model: "claude", max_output_tokens: Some(7), streamed: true };
    let body: Value = serde_json::from_slice(&body(question).expect("words for all")).expect("JSON");
    assert_eq!((&body["max_tokens"], &body["stream"]), (&json!(7), &json!(true)));
}
