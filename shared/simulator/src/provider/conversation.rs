//! What was said so far, and what rules and scripts ask about it. It reads as a request of the chat-completions protocol;
//! other protocols are put into its words.

mod message;

use serde::Deserialize;
use serde_json::Value;

pub(super) use self::message::{Called, Function, Message, Offer, Offered};
use crate::template;

/// The body of `POST /v1/chat/completions`. Fields that are not read here are ignored.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Conversation {
    /// Not said where the path names it.
    #[serde(default)]
    pub(crate) model: String,
    pub(super) messages: Vec<Message>,
    #[serde(default)]
    pub(super) tools: Vec<Offer>,
    #[serde(default)]
    pub(crate) stream: bool,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) max_tokens: Option<u64>,
    pub(super) max_completion_tokens: Option<u64>,
    pub(super) metadata: Option<Value>,
    pub(super) user: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl Conversation {
    /// The step that comes next: as many as the model has answered already. The same conversation is always at the same
    /// step, whoever asks again after a crash.
    pub(crate) fn step(&self) -> usize {
        self.messages.iter().filter(|message| message.role == "assistant").count()
    }

    /// Whether a tool is offered.
    pub(crate) fn offers(&self, tool: &str) -> bool {
        self.tools.iter().any(|offer| offer.function.name == tool)
    }

    /// What the user said last.
    pub(crate) fn user(&self) -> String {
        self.messages
            .iter()
            .rev()
            .find(|message| message.role == "user")
            .map(|message| message.text().into())
            .unwrap_or_default()
    }

    /// What the instructions say.
    pub(crate) fn system(&self) -> String {
        let of_system = |message: &&Message| matches!(message.role.as_str(), "system" | "developer");
        self.messages.iter().filter(of_system).map(Message::text).collect::<Vec<_>>().join("\n")
    }

    /// The last result of a tool.
    pub(crate) fn result(&self, tool: &str) -> Option<String> {
        let answered = |message: &&Message| {
            message.role == "tool" && message.tool_call_id.as_deref().is_some_and(|id| self.tool_of(id) == Some(tool))
        };
        self.messages.iter().rev().find(answered).map(|message| message.text().into())
    }

    /// Most tokens to write.
    pub(crate) fn max_tokens(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Whether a stream ends with its usage.
    pub(crate) fn wants_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }

    /// The script that the conversation asks for, by `script:<id>` in a message of system or user, or by its metadata.
    pub(crate) fn script(&self) -> Option<String> {
        self.metadata("script").or_else(|| self.marked("script:"))
    }

    /// How many tokens the model shall write, by `output_tokens` in the metadata, or `output_tokens:<number>` in a message.
    pub(crate) fn output_tokens(&self) -> Option<u64> {
        let asked = self.metadata("output_tokens").or_else(|| self.marked("output_tokens:"));
        asked.and_then(|number| number.parse().ok())
    }

    /// What the caller wrote on the call, to know it again: in the metadata, or as the end user's name.
    pub(crate) fn mark(&self) -> String {
        let named = self.metadata("mark").or_else(|| self.metadata("user_id"));
        named.or_else(|| self.user.clone()).unwrap_or_default()
    }

    /// The tokens in a prompt: as `input_tokens` in the metadata says, or a quarter of its characters.
    pub(crate) fn tokens(&self) -> u64 {
        if let Some(told) = self.metadata("input_tokens").and_then(|number| number.parse().ok()) {
            return told;
        }
        let said = self.messages.iter().map(|message| {
            let calls = message.tool_calls.iter().map(|call| call.function.name.len() + call.function.arguments.len());
            message.text().len() + calls.sum::<usize>()
        });
        let offered = self.tools.iter().map(|Offer { function }| {
            function.name.len() + function.description.len() + function.parameters.to_string().len()
        });
        tokens(said.sum::<usize>() + offered.sum::<usize>())
    }

    /// A text or a number of the metadata.
    fn metadata(&self, name: &str) -> Option<String> {
        match self.metadata.as_ref()?.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The word behind a mark in what system or user say.
    fn marked(&self, mark: &str) -> Option<String> {
        let asks = |message: &&Message| message.role != "assistant" && message.role != "tool";
        self.messages.iter().filter(asks).find_map(|message| marked(&message.text(), mark))
    }

    /// The values that templates and rules name: `user`, `user.<path>` (of a message in JSON), `system`,
    /// `result.<tool>[.<path>]`, `call.<tool>[.<path>]` (the arguments of its last call), `step`.
    pub(crate) fn find(&self, path: &str) -> Option<Value> {
        let (root, rest) = path.split_once('.').unwrap_or((path, ""));
        let (tool, inner) = rest.split_once('.').unwrap_or((rest, ""));
        match root {
            "user" => within(&self.user(), rest),
            "system" => within(&self.system(), rest),
            "step" => Some(self.step().into()),
            "result" => within(&self.result(tool)?, inner),
            "call" => within(&self.last_call(tool)?.arguments, inner),
            _ => None,
        }
    }

    fn last_call(&self, tool: &str) -> Option<&Function> {
        self.calls().rev().map(|call| &call.function).find(|function| function.name == tool)
    }

    fn tool_of(&self, call_id: &str) -> Option<&str> {
        self.calls().find(|call| call.id == call_id).map(|call| call.function.name.as_str())
    }

    fn calls(&self) -> impl DoubleEndedIterator<Item = &Called> {
        self.messages.iter().flat_map(|message| &message.tool_calls)
    }
}

/// A quarter of the characters, and at least one.
pub(crate) fn tokens(characters: usize) -> u64 {
    (characters as u64).div_ceil(4).max(1)
}

/// A path within a text that holds JSON, or the text itself where there is no path.
fn within(text: &str, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(serde_json::from_str(text).unwrap_or_else(|_| text.into()));
    }
    // People and frameworks write words around their JSON.
    let json = text.find('{').zip(text.rfind('}')).and_then(|(from, to)| text.get(from..=to))?;
    template::at(&serde_json::from_str(json).ok()?, path).cloned()
}

fn marked(text: &str, mark: &str) -> Option<String> {
    let (_, rest) = text.split_once(mark)?;
    let id: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let id = id.trim_end_matches('.');
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conversation() -> Conversation {
        serde_json::from_value(json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "You help. script:retail-7."},
                {"role": "user", "content": [{"type": "text", "text": "case: {\"id\": \"C-1\"}"}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1}"}}]},
                {"role": "tool", "tool_call_id": "a", "content": "{\"found\": {\"n\": 2}}"},
            ],
            "temperature": 0.3,
        }))
        .expect("a conversation")
    }

    #[test]
    fn values_are_found_by_their_paths() {
        let conversation = conversation();
        assert_eq!(conversation.find("user.id"), Some(json!("C-1")));
        assert_eq!(conversation.find("result.look.found.n"), Some(json!(2)));
        assert_eq!(conversation.find("call.look.at"), Some(json!(1)));
        assert_eq!(conversation.find("result.other"), None);
        assert_eq!(conversation.find("step"), Some(json!(1)));
    }

    #[test]
    fn a_marker_names_the_script() {
        assert_eq!(conversation().script().as_deref(), Some("retail-7"));
    }

    #[test]
    fn the_metadata_says_lengths_as_text_or_number() {
        let of = |metadata: Value| -> Conversation {
            let body = json!({"messages": [{"role": "user", "content": "output_tokens:5"}], "metadata": metadata});
            serde_json::from_value(body).expect("a conversation")
        };
        assert_eq!(of(json!({"output_tokens": "7", "input_tokens": 9})).output_tokens(), Some(7));
        assert_eq!(of(json!({"output_tokens": 7, "input_tokens": 9})).tokens(), 9);
        assert_eq!((of(json!({})).output_tokens(), of(json!({})).tokens()), (Some(5), 4));
    }
}
