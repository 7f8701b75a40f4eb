//! Messages and tools as chat completions has them.
//! Source: <https://platform.openai.com/docs/api-reference/chat/create>

use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
pub(super) struct Message<'m> {
    pub(super) role: &'static str,
    pub(super) content: Option<&'m String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall<'m>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<&'m String>,
}

#[derive(Serialize)]
pub(super) struct ToolCall<'m> {
    pub(super) id: &'m str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) function: Called<'m>,
}

#[derive(Serialize)]
pub(super) struct Called<'m> {
    pub(super) name: &'m str,
    pub(super) arguments: &'m str,
}

#[derive(Serialize)]
pub(super) struct Tool<'t> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) function: Function<'t>,
}

#[derive(Serialize)]
pub(super) struct Function<'t> {
    pub(super) name: &'t str,
    pub(super) description: &'t str,
    pub(super) parameters: &'t RawValue,
}
