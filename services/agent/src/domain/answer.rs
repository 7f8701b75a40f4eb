//! What is recorded of a step, and what an answer is to the caller.

use holdfast_proto::llm::v1 as llm;
use holdfast_sdk::{Json, Output};
use serde::{Deserialize, Serialize};

/// What a model said: the record of a step, made before its calls start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelAnswer {
    pub(crate) text: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) stopped: Stopped,
    /// Who said it: "provider/upstream-model".
    pub(crate) deployment: String,
    /// The model's last fallback said it, and no model did.
    pub(crate) degraded: bool,
    /// Time at work by the end of this step, over all attempts.
    pub(crate) elapsed_ms: u64,
}

/// A model's wish to call a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) tool: String,
    /// As the model wrote them.
    pub(crate) arguments: String,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stopped {
    Done,
    Length,
    ContentFilter,
}

/// What the tools of a step answered, in the order of the calls: the record of its second half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ToolAnswers {
    pub(crate) answers: Vec<ToolText>,
    /// Time at work by the end of this step, over all attempts.
    pub(crate) elapsed_ms: u64,
}

/// One tool's answer, as the model gets to see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ToolText {
    pub(crate) call_id: String,
    pub(crate) tool: String,
    pub(crate) content: String,
}

impl ModelAnswer {
    /// Takes a model's answer in at a step.
    pub(crate) fn new(step: u32, answer: llm::GenerateResponse, elapsed_ms: u64) -> Self {
        let stopped = match answer.finish_reason() {
            llm::FinishReason::Length => Stopped::Length,
            llm::FinishReason::ContentFilter => Stopped::ContentFilter,
            _ => Stopped::Done,
        };
        let message = answer.message.unwrap_or_default();
        let call = |(index, call): (usize, llm::ToolCall)| Call {
            // Some providers name no call; the conversation needs names to put answers to calls.
            id: if call.id.is_empty() { format!("call_{step}_{index}") } else { call.id },
            tool: call.name,
            arguments: call.arguments,
        };
        Self {
            text: message.content,
            calls: message.tool_calls.into_iter().enumerate().map(call).collect(),
            stopped,
            deployment: answer.deployment,
            degraded: answer.degraded,
            elapsed_ms,
        }
    }
}

/// A final text as the invocation's result: JSON where it is JSON.
pub(crate) fn output(text: &str) -> Output {
    let trimmed = text.trim();
    match serde_json::from_str::<Json>(trimmed) {
        Ok(_) => Output { data: trimmed.to_owned().into(), content_type: "application/json".into() },
        Err(_) => Output::text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_handed_out_as_json_and_text_as_text() {
        assert_eq!(output(" {\"a\": 1}\n").content_type, "application/json");
        assert_eq!(output(" {\"a\": 1}\n").data, "{\"a\": 1}");
        assert_eq!(output("It is done.").content_type, "text/plain");
    }

    #[test]
    fn calls_without_a_name_get_one() {
        let call = llm::ToolCall { name: "look".into(), arguments: "{}".into(), ..Default::default() };
        let message = llm::Message { tool_calls: vec![call.clone(), call], ..Default::default() };
        let answer = llm::GenerateResponse { message: Some(message), ..Default::default() };
        let ids: Vec<_> = ModelAnswer::new(3, answer, 0).calls.into_iter().map(|call| call.id).collect();
        assert_eq!(ids, ["call_3_0", "call_3_1"]);
    }
}
