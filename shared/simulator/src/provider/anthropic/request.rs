//! A request of the messages protocol, put into the words of a [`Conversation`].

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::super::{
    conversation::{Called, Conversation, Function, Message, Offer, Offered},
    refusal::Refusal,
};

/// The body of `POST /v1/messages`. Fields that are not read here are ignored.
#[derive(Debug, Deserialize)]
struct Body {
    model: String,
    messages: Vec<Turn>,
    max_tokens: u64,
    system: Option<Content>,
    #[serde(default)]
    tools: Vec<Tool>,
    #[serde(default)]
    stream: bool,
    metadata: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Turn {
    role: Role,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    User,
    Assistant,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    ToolResult {
        tool_use_id: String,
        content: Option<Content>,
    },
    /// A picture, a document, a thought: it says nothing here.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    input_schema: Value,
}

/// Reads a request.
pub(crate) fn conversation(headers: &HeaderMap, body: &[u8]) -> Result<Conversation, Refusal> {
    let bad = |message: String| Refusal::Bad { code: "invalid_request", message };
    if !headers.contains_key("anthropic-version") {
        return Err(bad("anthropic-version: header is required".into()));
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    if body.messages.is_empty() {
        return Err(bad("messages: at least one message is required".into()));
    }
    if body.max_tokens == 0 {
        return Err(bad("max_tokens: must be greater than or equal to 1".into()));
    }
    let mut messages = Vec::new();
    if let Some(system) = body.system {
        messages.push(said("system", system.text()));
    }
    body.messages.into_iter().for_each(|turn| turn.add_to(&mut messages));
    let offer = |Tool { name, description, input_schema: parameters }| Offer {
        function: Offered { name, description, parameters },
    };
    Ok(Conversation {
        model: body.model,
        messages,
        tools: body.tools.into_iter().map(offer).collect(),
        stream: body.stream,
        stream_options: None,
        max_tokens: Some(body.max_tokens),
        max_completion_tokens: None,
        metadata: body.metadata,
        user: None,
    })
}

impl Turn {
    /// A turn of the user's may hold results of tools beside what the user says.
    fn add_to(self, messages: &mut Vec<Message>) {
        let role = if self.role == Role::User { "user" } else { "assistant" };
        let blocks = match self.content {
            Content::Text(text) => return messages.push(said(role, text)),
            Content::Blocks(blocks) => blocks,
        };
        let (mut text, mut calls) = (String::new(), Vec::new());
        for block in blocks {
            match block {
                Block::Text { text: more } => text.push_str(&more),
                Block::ToolUse { id, name, input } => {
                    calls.push(Called { id, function: Function { name, arguments: input.to_string() } });
                }
                Block::ToolResult { tool_use_id, content } => {
                    let result = content.map(|content| content.text()).unwrap_or_default();
                    messages.push(Message { tool_call_id: Some(tool_use_id), ..said("tool", result) });
                }
                Block::Other => {}
            }
        }
        if !text.is_empty() || !calls.is_empty() {
            messages.push(Message { tool_calls: calls, ..said(role, text) });
        }
    }
}

impl Content {
    fn text(self) -> String {
        let blocks = match self {
            Self::Text(text) => return text,
            Self::Blocks(blocks) => blocks,
        };
        let texts = blocks.into_iter().filter_map(|block| match block {
            Block::Text { text } => Some(text),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

fn said(role: &str, text: String) -> Message {
    Message { role: role.to_owned(), content: text.into(), tool_calls: Vec::new(), tool_call_id: None }
}
