//! Answers, and the pieces that events are made of too.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::{Failure, http::judge_said, told};
use crate::domain::{Answer, Finish, ToolCall, Usage};

/// What is broken: it is no answer of this protocol.
const NO_ANSWER: Failure = Failure::Broken { how: "sent an answer that is not one" };

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    #[serde(default, borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<Counts>,
}

/// A piece of an answer: a text, a tool's call, or what is not passed on (what the model thought, what tools of the provider's
/// own did).
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(rename = "type", default, borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default, borrow)]
    pub(super) input: Option<&'a RawValue>,
}

/// Tokens, as far as they are counted. Those of the input are told by how the cache served them; together they are all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Counts {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
}

/// A whole answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, Failure> {
    let message: Message<'_> = serde_json::from_slice(body).map_err(|_| judge_said(body).unwrap_or(NO_ANSWER))?;
    told::response_id(message.id.as_deref());
    let mut answer = Answer {
        finish: message.stop_reason.as_deref().map(finish).unwrap_or_default(),
        usage: message.usage.and_then(Counts::usage),
        ..Answer::default()
    };
    for block in message.content {
        match &*block.kind {
            "text" => answer.text.push_str(&block.text.unwrap_or_default()),
            "tool_use" => answer.tool_calls.push(ToolCall {
                id: block.id.unwrap_or_default(),
                name: block.name.unwrap_or_default(),
                arguments: block.input.map_or("{}", RawValue::get).to_owned(),
            }),
            _ => {}
        }
    }
    Ok(answer)
}

pub(super) fn finish(stop_reason: &str) -> Finish {
    match stop_reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        // pause_turn: a tool of the provider's own takes its time. Chat completions has no word for it.
        _ => Finish::Other,
    }
}

impl Counts {
    /// What is counted later counts for all.
    pub(super) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens = later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
    }

    /// All that was read, from the cache too, and all that was written; `None` where nothing was counted.
    pub(super) fn usage(self) -> Option<Usage> {
        let read = [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens];
        let input_tokens = read.into_iter().flatten().fold(0, u64::saturating_add);
        let usage = Usage { input_tokens, output_tokens: self.output_tokens.unwrap_or_default() };
        usage.believed()
    }
}

/// However it is written: an answer is not lost for a number.
fn count<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<f64>::deserialize(json)?.map(|count| count as u64))
}
