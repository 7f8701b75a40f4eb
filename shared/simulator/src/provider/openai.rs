//! How OpenAI writes it.
//! Source: <https://platform.openai.com/docs/api-reference/chat>, <https://platform.openai.com/docs/guides/rate-limits>

use std::{fmt::Write, time::Duration};

use serde_json::{Value, json};

use super::{
    answer::{Answer, Beat, Completion, Finish},
    conversation::Conversation,
    limits::Kind,
    meter::Rate,
    refusal::Refusal,
};

pub(crate) const FAILURE: &str = "data: {\"error\":{\"message\":\"a fault was asked for\",\"type\":\"server_error\",\
                                  \"param\":null,\"code\":\"simulated_fault\"}}\n\n";

pub(crate) fn conversation(body: &[u8]) -> Result<Conversation, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Bad { code: "invalid_json", message: error.to_string() })
}

pub(crate) fn whole(completion: &Completion) -> Value {
    let Answer { text, calls } = &completion.answer;
    let mut message = json!({"role": "assistant", "content": text, "refusal": null});
    if !calls.is_empty() {
        let calls = calls.iter().enumerate().map(|(index, call)| {
            let function = json!({"name": call.tool, "arguments": call.arguments});
            json!({"id": completion.call_id(index), "type": "function", "function": function})
        });
        message["tool_calls"] = calls.collect();
    }
    let mut whole = envelope(completion, "chat.completion");
    let finish = completion.finish_reason();
    whole["choices"] = json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}]);
    whole["usage"] = completion.usage();
    whole
}

pub(crate) fn event(completion: &Completion, beat: Beat, into: &mut String) {
    let Answer { text, calls } = &completion.answer;
    let delta = match beat {
        // Most events are these: they are written without a tree of values.
        Beat::Text { from, to } => return text_event(completion, &text[from..to], into),
        Beat::Open => json!({"role": "assistant", "content": ""}),
        Beat::CallOpens { call: index } => {
            let function = json!({"name": calls[index].tool, "arguments": ""});
            let id = completion.call_id(index);
            json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
        }
        Beat::Arguments { call: index, from, to } => {
            let function = json!({"arguments": calls[index].arguments[from..to]});
            json!({"tool_calls": [{"index": index, "function": function}]})
        }
        Beat::Finish | Beat::Usage | Beat::TextOpens | Beat::BlockEnds { .. } => json!({}),
        Beat::End => return into.push_str("data: [DONE]\n\n"),
    };
    let mut chunk = envelope(completion, "chat.completion.chunk");
    if beat == Beat::Usage {
        chunk["choices"] = json!([]);
        chunk["usage"] = completion.usage();
    } else {
        let finish = (beat == Beat::Finish).then(|| completion.finish_reason());
        chunk["choices"] = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    }
    write!(into, "data: {chunk}\n\n").expect("a text can be written");
}

fn text_event(completion: &Completion, text: &str, into: &mut String) {
    let (step, model, text) = (completion.step, Value::from(completion.model.as_str()), Value::from(text));
    write!(
        into,
        "data: {{\"id\":\"chatcmpl-simulated-{step}\",\"object\":\"chat.completion.chunk\",\"created\":0,\
         \"model\":{model},\"system_fingerprint\":\"simulated\",\"choices\":[{{\"index\":0,\
         \"delta\":{{\"content\":{text}}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
    )
    .expect("a text can be written");
}

fn envelope(completion: &Completion, object: &str) -> Value {
    json!({
        "id": format!("chatcmpl-simulated-{}", completion.step),
        "object": object,
        "created": 0,
        "model": completion.model,
        "system_fingerprint": "simulated",
    })
}

impl Completion {
    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        })
    }

    /// Ids depend on the conversation alone, so that a call repeated after a crash names the same tool calls.
    fn call_id(&self, index: usize) -> String {
        format!("call_{}_{index}", self.step)
    }

    fn finish_reason(&self) -> &'static str {
        match self.finish {
            Finish::Stop => "stop",
            Finish::ToolCalls => "tool_calls",
            Finish::Length => "length",
        }
    }
}

pub(crate) fn error(refusal: &Refusal) -> Value {
    const INVALID: &str = "invalid_request_error";
    let (kind, code, message) = match refusal {
        Refusal::Stranger => {
            (INVALID, "invalid_api_key", "the simulated provider does not know this API key".to_owned())
        }
        Refusal::Limited(past) => {
            (past.limit, "rate_limit_exceeded", format!("the limit of {} is reached", past.limit))
        }
        Refusal::NoModel(name) => (INVALID, "model_not_found", format!("the model {name:?} does not exist")),
        Refusal::TooLong { context, prompt, output } => (INVALID, "context_length_exceeded", {
            let most = format!("This model's maximum context length is {context} tokens.");
            let all = prompt + output;
            match output {
                0 => format!(
                    "{most} However, your messages resulted in {prompt} tokens. Please reduce the length of the messages."
                ),
                _ => format!(
                    "{most} However, you requested {all} tokens ({prompt} in the messages, {output} in the completion). Please reduce the length of the messages or completion."
                ),
            }
        }),
        Refusal::Bad { code, message } => (INVALID, *code, message.clone()),
        Refusal::Fault { status, code, .. } => {
            let kind = if *status < 500 { INVALID } else { "server_error" };
            (kind, code.as_deref().unwrap_or("simulated_fault"), "a fault was asked for".to_owned())
        }
    };
    let param = matches!(refusal, Refusal::TooLong { .. }).then_some("messages");
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// Requests and tokens; for tokens of one direction there is no header.
pub(crate) fn rate(rate: &Rate) -> Option<[(String, String); 3]> {
    let of = match rate.kind {
        Kind::Requests => "requests",
        Kind::Tokens => "tokens",
        Kind::Input | Kind::Output => return None,
    };
    Some([
        (format!("x-ratelimit-limit-{of}"), rate.limit.to_string()),
        (format!("x-ratelimit-remaining-{of}"), rate.remaining.to_string()),
        (format!("x-ratelimit-reset-{of}"), duration(rate.reset)),
    ])
}

/// As the language Go writes it: `1s`, `6m0s`, `12ms`.
fn duration(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000) as u64;
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let fraction = format!("{:03}", rest % 1_000);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{dot}{fraction}s", rest / 1_000);
    match minutes {
        0 if millis < 1_000 => format!("{millis}ms"),
        0 => seconds,
        1..60 => format!("{minutes}m{seconds}"),
        _ => format!("{}h{}m{seconds}", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_does() {
        let written = |millis| duration(Duration::from_millis(millis));
        for (millis, text) in [(0, "0ms"), (12, "12ms"), (1_000, "1s"), (8_640, "8.64s"), (360_000, "6m0s")] {
            assert_eq!(written(millis), text);
        }
        assert_eq!(written(3_600_000 + 61_005), "1h1m1.005s");
    }
}
