//! What a conversation consists of.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct Message {
    pub(in super::super) role: String,
    #[serde(default)]
    pub(in super::super) content: Value,
    #[serde(default)]
    pub(in super::super) tool_calls: Vec<Called>,
    pub(in super::super) tool_call_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct Called {
    pub(in super::super) id: String,
    pub(in super::super) function: Function,
}

#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct Function {
    pub(in super::super) name: String,
    #[serde(default)]
    pub(in super::super) arguments: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct Offer {
    pub(in super::super) function: Offered,
}

#[derive(Debug, Clone, Deserialize)]
pub(in super::super) struct Offered {
    pub(in super::super) name: String,
    #[serde(default)]
    pub(in super::super) description: String,
    #[serde(default)]
    pub(in super::super) parameters: Value,
}

impl Message {
    /// The text of a message, whether it came as one string or in parts.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match &self.content {
            Value::String(text) => text.into(),
            Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
            _ => "".into(),
        }
    }
}
