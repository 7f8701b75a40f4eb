//! What goes in and out of a handler.

use std::ops::{Add, AddAssign};

use bytes::Bytes;
use holdfast_proto::{llm::v1 as llm, queue::v1 as pb};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What an invocation comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The bytes.
    pub data: Bytes,
    /// The media type.
    pub content_type: String,
}

impl Output {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { data: text.into().into(), content_type: "text/plain".into() }
    }
}

impl From<Json> for Output {
    fn from(json: Json) -> Self {
        Self { data: json.to_string().into(), content_type: "application/json".into() }
    }
}

impl From<Output> for pb::Payload {
    fn from(output: Output) -> Self {
        Self { data: output.data, content_type: output.content_type }
    }
}

/// Model tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read by models.
    pub input_tokens: u64,
    /// Written by models.
    pub output_tokens: u64,
}

impl Usage {
    /// Both together.
    pub fn total(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl From<Usage> for pb::Usage {
    fn from(usage: Usage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
    }
}

impl From<llm::TokenUsage> for Usage {
    fn from(usage: llm::TokenUsage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
    }
}
