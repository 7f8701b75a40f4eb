//! How Anthropic writes it.
//! Source: <https://docs.anthropic.com/en/api/messages>, <https://docs.anthropic.com/en/api/rate-limits>

mod request;

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

pub(crate) use self::request::conversation;
use super::{
    answer::{Answer, Beat, Call, Completion, Finish},
    limits::Kind,
    meter::Rate,
    refusal::Refusal,
};

pub(crate) const FAILURE: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
                                  \"message\":\"Overloaded\"}}\n\n";

pub(crate) fn whole(completion: &Completion) -> Value {
    let Answer { text, calls } = &completion.answer;
    let text = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
    let calls = calls.iter().enumerate().map(|(index, call)| tool_use(completion, index, call.input()));
    let mut message = opening(completion);
    message["content"] = text.into_iter().chain(calls).collect();
    message["stop_reason"] = completion.stop_reason().into();
    message["usage"]["output_tokens"] = completion.completion_tokens.into();
    message
}

pub(crate) fn event(completion: &Completion, beat: Beat, into: &mut String) {
    let Answer { text, calls } = &completion.answer;
    let data = match beat {
        Beat::Open => json!({"type": "message_start", "message": opening(completion)}),
        Beat::TextOpens => {
            let block = json!({"type": "text", "text": ""});
            json!({"type": "content_block_start", "index": 0, "content_block": block})
        }
        Beat::Text { from, to } => delta(0, json!({"type": "text_delta", "text": text[from..to]})),
        Beat::CallOpens { call } => {
            let (index, block) = (completion.block_of(call), tool_use(completion, call, json!({})));
            json!({"type": "content_block_start", "index": index, "content_block": block})
        }
        Beat::Arguments { call, from, to } => {
            let json = &calls[call].arguments[from..to];
            delta(completion.block_of(call), json!({"type": "input_json_delta", "partial_json": json}))
        }
        Beat::BlockEnds { block } => json!({"type": "content_block_stop", "index": block}),
        Beat::Finish => json!({
            "type": "message_delta",
            "delta": {"stop_reason": completion.stop_reason(), "stop_sequence": null},
            "usage": {"output_tokens": completion.completion_tokens},
        }),
        Beat::Usage => return,
        Beat::End => json!({"type": "message_stop"}),
    };
    let name = data["type"].as_str().unwrap_or_default();
    write!(into, "event: {name}\ndata: {data}\n\n").expect("a text can be written");
}

/// The message before anything was said.
fn opening(completion: &Completion) -> Value {
    json!({
        "id": format!("msg_simulated_{}", completion.step),
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": completion.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
        },
    })
}

fn delta(index: usize, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn tool_use(completion: &Completion, call: usize, input: Value) -> Value {
    let id = format!("toolu_{}_{call}", completion.step);
    json!({"type": "tool_use", "id": id, "name": completion.answer.calls[call].tool, "input": input})
}

impl Call {
    fn input(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| json!({}))
    }
}

impl Completion {
    fn stop_reason(&self) -> &'static str {
        match self.finish {
            Finish::Stop => "end_turn",
            Finish::ToolCalls => "tool_use",
            Finish::Length => "max_tokens",
        }
    }
}

pub(crate) fn error(refusal: &Refusal) -> Value {
    let (kind, message) = match refusal {
        Refusal::Stranger => ("authentication_error", "invalid x-api-key".to_owned()),
        Refusal::Limited(past) => {
            ("rate_limit_error", format!("This request would exceed your rate limit of {}", past.limit))
        }
        Refusal::NoModel(name) => ("not_found_error", format!("model: {name}")),
        Refusal::TooLong { context, prompt, output } => (
            "invalid_request_error",
            match prompt > context {
                true => format!("prompt is too long: {prompt} tokens > {context} maximum"),
                false => format!(
                    "input length and `max_tokens` exceed context limit: {prompt} + {output} > {context}, decrease input \
                 length or `max_tokens` and try again"
                ),
            },
        ),
        Refusal::Bad { message, .. } => ("invalid_request_error", message.clone()),
        Refusal::Fault { status, code, .. } => {
            let kind = code.as_deref().unwrap_or_else(|| kind_of(*status));
            let message = if *status == 529 { "Overloaded" } else { "a fault was asked for" };
            (kind, message.to_owned())
        }
    };
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_simulated"})
}

fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}

pub(crate) fn rate(rate: &Rate) -> [(String, String); 3] {
    let of = match rate.kind {
        Kind::Requests => "requests",
        Kind::Tokens => "tokens",
        Kind::Input => "input-tokens",
        Kind::Output => "output-tokens",
    };
    // The header is a time of day in whole seconds: rounded up, so that who waits until then does not come too early.
    let reset = SystemTime::now() + rate.reset + Duration::from_millis(999);
    [
        (format!("anthropic-ratelimit-{of}-limit"), rate.limit.to_string()),
        (format!("anthropic-ratelimit-{of}-remaining"), rate.remaining.to_string()),
        (format!("anthropic-ratelimit-{of}-reset"), humantime::format_rfc3339_seconds(reset).to_string()),
    ]
}
