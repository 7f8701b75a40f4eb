//! The protocol's JSON, both ways.
//! Source: <https://platform.openai.com/docs/api-reference/chat/create>

use serde::{Deserialize, Serialize};

use super::super::{Call, Failure};
use crate::domain::{Answer, Fields, Finish, Part, ToolCall, Usage};

/// The most tool calls that one answer may have.
const TOOL_CALLS_MAX: u32 = 1_024;

#[derive(Serialize)]
struct Request<'c> {
    model: &'c str,
    #[serde(flatten)]
    fields: &'c Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The body of a request: the conversation's own fields untouched, and what is said here.
pub(crate) fn request(call: &Call<'_>, streamed: bool, original: bool) -> Vec<u8> {
    let most = call.max_output_tokens;
    let request = Request {
        model: call.model,
        fields: &call.ask.fields,
        // Others than OpenAI know the older name only.
        max_tokens: most.filter(|_| !original),
        max_completion_tokens: most.filter(|_| original),
        stream: streamed.then_some(true),
        stream_options: streamed.then_some(StreamOptions { include_usage: true }),
    };
    let mut body = Vec::with_capacity(call.ask.bytes + 256);
    serde_json::to_writer(&mut body, &request).expect("memory takes JSON");
    body
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
        json: None,
    })
}

/// The parts in one event of a stream.
pub(crate) fn parts(data: &[u8]) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
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
    Ok(parts)
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
