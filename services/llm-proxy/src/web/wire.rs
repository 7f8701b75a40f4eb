//! Answers in OpenAI's shape, for those that do not come in it: another protocol's, and the model's fallback.

use holdfast_rpc::id;
use serde::Serialize;
use serde_json::{Value, json};

use super::now;
use crate::domain::{Answer, Finish, Part, ToolCall, Usage};

/// What all of an answer's objects say of it.
#[derive(Debug, Clone)]
pub(super) struct Author {
    id: String,
    created: u64,
    /// As the client asked for it.
    model: String,
}

impl Author {
    pub(super) fn new(model: String) -> Self {
        Self { id: format!("chatcmpl-{}", id::new()), created: now(), model }
    }

    /// A whole answer.
    pub(super) fn whole(&self, answer: &Answer) -> Vec<u8> {
        let calls = answer.tool_calls.iter().map(|ToolCall { id, name, arguments }| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        });
        let calls: Vec<_> = calls.collect();
        let text = (!answer.text.is_empty() || calls.is_empty()).then_some(&answer.text);
        let mut message = json!({"role": "assistant", "content": text, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish(answer.finish)});
        self.object("chat.completion", &[choice], answer.usage)
    }

    /// The first event of a stream.
    pub(super) fn opening(&self) -> Vec<u8> {
        self.event(json!({"role": "assistant", "content": ""}), None)
    }

    /// The event that says a part; none for what stands at the end.
    pub(super) fn part(&self, part: &Part) -> Option<Vec<u8>> {
        match part {
            Part::Text(text) => Some(self.event(json!({"content": text}), None)),
            Part::ToolCall { index, id, name, arguments } => {
                let mut call = json!({"index": index, "function": {"arguments": arguments}});
                if !id.is_empty() {
                    call["id"] = id.as_str().into();
                    call["type"] = "function".into();
                    call["function"]["name"] = name.as_str().into();
                }
                Some(self.event(json!({"tool_calls": [call]}), None))
            }
            Part::Finish(_) | Part::Usage(_) => None,
        }
    }

    /// The event that says why it ends.
    pub(super) fn finish(&self, reason: Finish) -> Vec<u8> {
        self.event(json!({}), Some(reason))
    }

    /// The event that says what it cost.
    pub(super) fn usage(&self, usage: Usage) -> Vec<u8> {
        self.object("chat.completion.chunk", &[], Some(usage))
    }

    fn event(&self, delta: Value, reason: Option<Finish>) -> Vec<u8> {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason.map(finish)});
        self.object("chat.completion.chunk", &[choice], None)
    }

    fn object(&self, object: &'static str, choices: &[Value], usage: Option<Usage>) -> Vec<u8> {
        let Self { id, created, model } = self;
        let usage = usage.map(|Usage { input_tokens, output_tokens }| Counts {
            prompt_tokens: input_tokens,
            completion_tokens: output_tokens,
            total_tokens: input_tokens.saturating_add(output_tokens),
        });
        serde_json::to_vec(&Object { id, object, created: *created, model, choices, usage }).expect("memory takes JSON")
    }
}

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Counts>,
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

/// OpenAI has no word for a reason that only another provider knows.
fn finish(reason: Finish) -> &'static str {
    match reason {
        Finish::Stop | Finish::Other => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("it is JSON")
    }

    #[test]
    fn a_whole_answer_has_openais_shape() {
        let author = Author::new("clever".into());
        let call = ToolCall { id: "a".into(), name: "look".into(), arguments: "{}".into() };
        let answer = Answer {
            tool_calls: vec![call],
            finish: Finish::ToolCalls,
            usage: Some(Usage { input_tokens: 3, output_tokens: 4 }),
            ..Answer::default()
        };
        let whole = read(&author.whole(&answer));
        assert!(whole["id"].as_str().expect("an id").starts_with("chatcmpl-"), "{whole}");
        assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!("clever")));
        let call = json!({"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}});
        let message = json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]});
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "tool_calls"});
        assert_eq!(whole["choices"], json!([choice]));
        assert_eq!(whole["usage"], json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}));
        let silent = read(&author.whole(&Answer::default()));
        assert_eq!((&silent["choices"][0]["message"]["content"], silent.get("usage")), (&json!(""), None));
    }

    #[test]
    fn a_tool_call_is_named_once_and_then_goes_on() {
        let author = Author::new("clever".into());
        let part = |id: &str, name: &str, arguments: &str| {
            let part = Part::ToolCall { index: 1, id: id.into(), name: name.into(), arguments: arguments.into() };
            read(&author.part(&part).expect("an event"))["choices"][0]["delta"]["tool_calls"].clone()
        };
        let first = json!({"index": 1, "id": "a", "type": "function", "function": {"name": "look", "arguments": ""}});
        assert_eq!(part("a", "look", ""), json!([first]));
        assert_eq!(part("", "", "{}"), json!([{"index": 1, "function": {"arguments": "{}"}}]));
    }
}
