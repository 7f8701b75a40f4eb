//! Answers by script: what the model says at each step of one conversation.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Answer, Call};

/// The steps of a conversation, in order. Which step comes next depends on the conversation alone, so a crash in between
/// changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What the model says, step by step.
    pub steps: Vec<Step>,
}

/// One answer of a scripted model.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// The text.
    pub text: String,
    /// The tools that it calls, in this order.
    pub calls: Vec<ScriptCall>,
}

/// A tool call of a script.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptCall {
    /// The tool.
    pub tool: String,
    /// Its arguments, as they are.
    #[serde(default)]
    pub arguments: Value,
}

impl Script {
    /// The answer at a step, where there is one.
    pub(crate) fn answer(&self, step: usize) -> Option<Answer> {
        let step = self.steps.get(step)?;
        let calls = step
            .calls
            .iter()
            .map(|call| Call { tool: call.tool.clone(), arguments: call.arguments.to_string() })
            .collect();
        Some(Answer { text: step.text.clone(), calls })
    }
}
