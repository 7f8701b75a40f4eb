//! What the model says, and how the protocol writes it: whole, or piece by piece.

use serde_json::{Value, json};

use super::conversation::{Conversation, tokens};

/// What a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
}

/// A tool that it calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) arguments: String,
}

/// An answer to a conversation, ready to be written.
pub(crate) struct Completion {
    answer: Answer,
    model: String,
    step: usize,
    finish: &'static str,
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// A piece of a stream, and how many tokens it is.
pub(crate) struct Piece {
    pub(crate) json: Value,
    pub(crate) tokens: u64,
}

/// Characters of text in one piece of a stream, at four to a token.
const PIECE: usize = 8;

impl Completion {
    pub(crate) fn new(conversation: &Conversation, mut answer: Answer) -> Self {
        let mut finish = if answer.calls.is_empty() { "stop" } else { "tool_calls" };
        if let Some(most) = conversation.max_tokens()
            && tokens(answer.length()) > most
        {
            answer.text = answer.text.chars().take(most as usize * 4).collect();
            answer.calls.clear();
            finish = "length";
        }
        Self {
            completion_tokens: tokens(answer.length()),
            answer,
            model: conversation.model.clone(),
            step: conversation.step(),
            finish,
            prompt_tokens: conversation.tokens(),
        }
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.completion_tokens
    }

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

    pub(crate) fn whole(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.answer.text, "refusal": null});
        if !self.answer.calls.is_empty() {
            message["tool_calls"] = (self.answer.calls.iter().enumerate())
                .map(|(index, call)| {
                    json!({
                        "id": self.call_id(index),
                        "type": "function",
                        "function": {"name": call.tool, "arguments": call.arguments},
                    })
                })
                .collect();
        }
        let mut whole = self.envelope("chat.completion");
        whole["choices"] = json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish}]);
        whole["usage"] = self.usage();
        whole
    }

    pub(crate) fn pieces(&self, with_usage: bool) -> Vec<Piece> {
        let mut pieces = vec![self.delta(json!({"role": "assistant", "content": ""}), 0)];
        for text in chunks(&self.answer.text) {
            pieces.push(self.delta(json!({"content": text}), tokens(text.len())));
        }
        for (index, call) in self.answer.calls.iter().enumerate() {
            let opening = json!({
                "index": index,
                "id": self.call_id(index),
                "type": "function",
                "function": {"name": call.tool, "arguments": ""},
            });
            pieces.push(self.delta(json!({"tool_calls": [opening]}), tokens(call.tool.len())));
            for part in chunks(&call.arguments) {
                let part_of = json!({"index": index, "function": {"arguments": part}});
                pieces.push(self.delta(json!({"tool_calls": [part_of]}), tokens(part.len())));
            }
        }
        let mut last = self.delta(json!({}), 0);
        last.json["choices"][0]["finish_reason"] = self.finish.into();
        pieces.push(last);
        if with_usage {
            let mut usage = self.envelope("chat.completion.chunk");
            usage["choices"] = json!([]);
            usage["usage"] = self.usage();
            pieces.push(Piece { json: usage, tokens: 0 });
        }
        pieces
    }

    fn delta(&self, delta: Value, tokens: u64) -> Piece {
        let mut json = self.envelope("chat.completion.chunk");
        json["choices"] = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]);
        Piece { json, tokens }
    }

    fn envelope(&self, object: &str) -> Value {
        json!({
            "id": format!("chatcmpl-simulated-{}", self.step),
            "object": object,
            "created": 0,
            "model": self.model,
            "system_fingerprint": "simulated",
        })
    }
}

impl Answer {
    fn length(&self) -> usize {
        self.text.len() + self.calls.iter().map(|call| call.tool.len() + call.arguments.len()).sum::<usize>()
    }
}

/// A text in pieces, cut between characters.
fn chunks(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}
