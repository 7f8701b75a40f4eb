//! The protocol's JSON, both ways.
//! Source: <https://platform.openai.com/docs/api-reference/chat/create>

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{Call, Failure};
use crate::domain::{Answer, Ask, Finish, Message, Part, Role, ToolCall, Usage};

/// The most tool calls that one answer may have.
const TOOL_CALLS_MAX: u32 = 1_024;

/// The body of a request. What the caller adds goes along, and never replaces what is said here.
pub(crate) fn request(call: &Call<'_>, streamed: bool, original: bool) -> Vec<u8> {
    let Ask { messages, tools, temperature, extra, .. } = call.ask;
    let mut body = extra.clone();
    body.insert("model".into(), call.model.into());
    body.insert("messages".into(), messages.iter().map(message).collect());
    if !tools.is_empty() {
        let tools = tools.iter().map(|tool| {
            let function = json!({"name": tool.name, "description": tool.description, "parameters": tool.input_schema});
            json!({"type": "function", "function": function})
        });
        body.insert("tools".into(), tools.collect());
    }
    if let Some(temperature) = temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    if let Some(most) = call.max_output_tokens {
        // Others than OpenAI know the older name only.
        let name = if original { "max_completion_tokens" } else { "max_tokens" };
        body.insert(name.into(), most.into());
    }
    if streamed {
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({"include_usage": true}));
    }
    Value::Object(body).to_string().into_bytes()
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut json = Map::from_iter([("role".to_owned(), role.into()), ("content".to_owned(), Value::Null)]);
    if !message.content.is_empty() || message.tool_calls.is_empty() {
        json["content"] = message.content.as_str().into();
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        });
        json.insert("tool_calls".into(), calls.collect());
    }
    if message.role == Role::Tool {
        json.insert("tool_call_id".into(), message.tool_call_id.as_str().into());
    }
    json.into()
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "delta", default)]
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Called>>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Function,
}

#[derive(Default, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Self { input_tokens: counts.prompt_tokens, output_tokens: counts.completion_tokens }
    }
}

/// A whole answer.
pub(crate) fn answer(body: &[u8]) -> Option<Answer> {
    let Completion { choices, usage } = serde_json::from_slice(body).ok()?;
    let Choice { message, finish_reason } = choices.into_iter().next()?;
    let tool_calls = message.tool_calls.unwrap_or_default().into_iter().map(|call| ToolCall {
        id: call.id.unwrap_or_default(),
        name: call.function.name.unwrap_or_default(),
        arguments: call.function.arguments.unwrap_or_default(),
    });
    Some(Answer {
        text: message.content.or(message.refusal).unwrap_or_default(),
        tool_calls: tool_calls.collect(),
        finish: finish(finish_reason.as_deref()),
        usage: usage.map(Into::into),
    })
}

/// The parts in one event of a stream.
pub(crate) fn parts(data: &[u8], parts: &mut Vec<Part>) -> Result<(), Failure> {
    let broken = |_| Failure::Broken { how: "sent an event that is not one" };
    let Completion { choices, usage } = serde_json::from_slice(data).map_err(broken)?;
    for Choice { message, finish_reason } in choices.into_iter().take(1) {
        if let Some(text) = message.content.or(message.refusal).filter(|text| !text.is_empty()) {
            parts.push(Part::Text(text));
        }
        for (place, call) in message.tool_calls.unwrap_or_default().into_iter().enumerate() {
            // Some providers send each call whole and without a number.
            let index = call.index.unwrap_or(place as u32);
            if index >= TOOL_CALLS_MAX {
                return Err(Failure::Broken { how: "asked for more tools than an answer may" });
            }
            parts.push(Part::ToolCall {
                index,
                id: call.id.unwrap_or_default(),
                name: call.function.name.unwrap_or_default(),
                arguments: call.function.arguments.unwrap_or_default(),
            });
        }
        if finish_reason.is_some() {
            parts.push(Part::Finish(finish(finish_reason.as_deref())));
        }
    }
    parts.extend(usage.map(|counts| Part::Usage(counts.into())));
    Ok(())
}

fn finish(reason: Option<&str>) -> Finish {
    match reason {
        Some("stop") => Finish::Stop,
        Some("tool_calls" | "function_call") => Finish::ToolCalls,
        Some("length") => Finish::Length,
        Some("content_filter") => Finish::ContentFilter,
        _ => Finish::Other,
    }
}
