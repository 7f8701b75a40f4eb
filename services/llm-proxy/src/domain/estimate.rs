//! What a call will cost in tokens, before the provider says it.

use super::chat::Ask;

/// Bytes of a prompt per token, on the safe side: English has four.
const BYTES_PER_TOKEN: usize = 3;
/// What a message costs beside its text.
const PER_MESSAGE: u64 = 4;
/// What is set aside for an answer whose length nobody limited.
const OUTPUT: u64 = 1_024;

/// Tokens that the provider will read.
pub(crate) fn input_tokens(ask: &Ask) -> u64 {
    let said = ask.messages.iter().map(|message| {
        let calls = message.tool_calls.iter().map(|call| call.name.len() + call.arguments.len());
        message.content.len() + calls.sum::<usize>()
    });

    let offered = ask.tools.iter().map(|tool| tool.name.len() + tool.description.len() + size(&tool.input_schema));
    let bytes = said.sum::<usize>() + offered.sum::<usize>();
    bytes.div_ceil(BYTES_PER_TOKEN) as u64 + PER_MESSAGE * ask.messages.len() as u64
}

/// Tokens that it may write.
pub(crate) fn output_tokens(most: Option<u32>) -> u64 {
    most.map_or(OUTPUT, u64::from)
}

fn size(json: &serde_json::Value) -> usize {
    use serde_json::Value;
    match json {
        Value::Null | Value::Bool(_) | Value::Number(_) => 5,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, field)| name.len() + 4 + size(field)).sum::<usize>() + 2,
    }
}
