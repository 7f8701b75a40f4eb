//! What was asked and answered, as a trace may show it: only of a model that is declared with `trace_content`, and without
//! what its `redact` names. The shape is that of OpenTelemetry's conventions.
//! Source: <https://github.com/open-telemetry/semantic-conventions-genai>

use holdfast_telemetry::redaction::Redaction;
use serde_json::{Value, json};
use tracing::Span;

use super::spans;
use crate::domain::{Answer, Ask};

/// Notes the conversation that a model is to go on with.
pub(super) fn asked(span: &Span, redaction: Option<&Redaction>, ask: &Ask) {
    let Some(redaction) = redaction else { return };
    let messages = ask.fields.get("messages").map_or("[]", |messages| messages.get());
    let messages: Vec<Value> = serde_json::from_str(messages).unwrap_or_default();
    let messages: Value = messages.iter().map(message).collect();
    span.record("gen_ai.input.messages", redaction.text(messages.to_string().as_bytes()));
}

/// Notes what it said. Of a stream that passes in the provider's own words nothing is kept, and nothing noted.
pub(super) fn said(span: &Span, redaction: Option<&Redaction>, answer: &Answer) {
    let Some(redaction) = redaction.filter(|_| !answer.text.is_empty() || !answer.tool_calls.is_empty()) else {
        return;
    };
    let text = Some(&answer.text).filter(|text| !text.is_empty()).map(|text| said_text(text));
    let calls = answer.tool_calls.iter().map(|call| called(&call.id, &call.name, &call.arguments));
    let parts: Vec<Value> = text.into_iter().chain(calls).collect();
    let messages = json!([{"role": "assistant", "parts": parts, "finish_reason": spans::finish(answer.finish)}]);
    span.record("gen_ai.output.messages", redaction.text(messages.to_string().as_bytes()));
}

/// A message of the chat-completions protocol.
fn message(message: &Value) -> Value {
    let role = message["role"].as_str().unwrap_or_default();
    let content = &message["content"];
    // A function is what a tool was called before.
    if role == "tool" || role == "function" {
        let response = json!({"type": "tool_call_response", "id": message["tool_call_id"], "response": content});
        return json!({"role": role, "parts": [response]});
    }
    let texts: Vec<Value> = match content {
        Value::String(text) => vec![said_text(text)],
        Value::Array(pieces) => pieces.iter().map(piece).collect(),
        _ => Vec::new(),
    };
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
        let (function, text) = (&call["function"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
        called(&text(&call["id"]), &text(&function["name"]), &text(&function["arguments"]))
    });
    let parts: Vec<Value> = texts.into_iter().chain(calls).collect();
    json!({"role": role, "parts": parts})
}

/// Of pictures and sounds only that they were there.
fn piece(piece: &Value) -> Value {
    match piece["text"].as_str() {
        Some(text) => said_text(text),
        None => json!({"type": piece["type"]}),
    }
}

fn said_text(text: &str) -> Value {
    json!({"type": "text", "content": text})
}

/// Arguments are JSON, so that what they name can be left out; a model does not always write it well.
fn called(id: &str, name: &str, arguments: &str) -> Value {
    let arguments = serde_json::from_str(arguments).unwrap_or_else(|_| Value::from(arguments));
    json!({"type": "tool_call", "id": id, "name": name, "arguments": arguments})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_message_has_its_shape() {
        let asked = json!([
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Look!"}, {"type": "image_url", "image_url": {"url": "data:"}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "seen"},
            {"role": "function", "name": "look", "content": "seen"},
        ]);
        let told: Vec<_> = asked.as_array().expect("messages").iter().map(message).collect();
        assert_eq!(
            Value::from(told),
            json!([
                {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
                {"role": "user", "parts": [{"type": "text", "content": "Look!"}, {"type": "image_url"}]},
                {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": 1}}]},
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "seen"}]},
                {"role": "function", "parts": [{"type": "tool_call_response", "id": null, "response": "seen"}]},
            ])
        );
    }
}
