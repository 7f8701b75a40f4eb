//! Tools, called through the tool-proxy.

use std::time::Duration;

use bytes::Bytes;
use holdfast_proto::tool::v1 as pb;
use serde_json::{Value as Json, json};

use crate::{
    Context, Error,
    calls::Limits,
    tools::{self, CALL_MAX},
};

/// Where a tool's answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The tool answered.
    Real,
    /// The tool answered that it cannot do this.
    ToolError,
    /// The tool's last good answer to the same arguments.
    Cached,
    /// A fallback answered.
    Degraded,
    /// Nothing could answer; the content says how to go on.
    Unavailable,
    /// The call may have happened: its answer was lost, and it is not sent again.
    Unknown,
}

/// A tool's answer, or what stands in for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolAnswer {
    /// The content.
    pub content: Bytes,
    /// Its media type.
    pub content_type: String,
    /// Where it comes from.
    pub outcome: Outcome,
    /// Why the tool itself did not answer, such as `CIRCUIT_OPEN`; empty where it did.
    pub degraded_reason: String,
    /// The age of a cached answer.
    pub age: Option<Duration>,
    /// Whether this is the recorded answer of an earlier, equal call.
    pub replayed: bool,
}

impl ToolAnswer {
    /// The content as JSON; what is not JSON is a string.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.content)
            .unwrap_or_else(|_| Json::String(String::from_utf8_lossy(&self.content).into_owned()))
    }
}

impl Context {
    /// Calls a tool. `step` and `index` are the call's place in the invocation: a repeat of the same call at the same
    /// place, by any attempt, gets the recorded answer, and its effect happens as the tool is declared.
    ///
    /// Where the tool-proxy itself stays away, the answer says so by [`Outcome::Unavailable`], or by
    /// [`Outcome::Unknown`] where the call may have reached it.
    ///
    /// # Errors
    /// [`Error::NotFound`] (no such tool), [`Error::Invalid`] (arguments against the schema), [`Error::AlreadyExists`]
    /// (another call was made at this place: the handler does not repeat itself), and those of every call.
    pub async fn call_tool(&self, tool: &str, arguments: &Json, step: u32, index: u32) -> Result<ToolAnswer, Error> {
        let request = pb::CallToolRequest {
            tool: tool.to_owned(),
            arguments: serde_json::to_vec(arguments)?.into(),
            step,
            index,
            idempotency_key: String::new(),
        };
        let client = tools::client(self.0.links.tools.clone());
        let limits = Limits { attempt: CALL_MAX, whole: CALL_MAX, patience: self.0.tool_patience };
        let called = self.0.caller.call(limits, || {
            let (request, mut client) = (request.clone(), client.clone());
            async move { client.call_tool(request).await }
        });
        match called.await {
            Ok(answer) => Ok(answer.into()),
            Err(error @ (Error::Unavailable { .. } | Error::Busy { .. })) => Ok(without_proxy(tool, &error)),
            Err(error) => Err(error),
        }
    }
}

/// What the agent is told when the tool-proxy is gone: its fallback lives here.
fn without_proxy(tool: &str, error: &Error) -> ToolAnswer {
    let (outcome, how) = match error.may_have_happened() {
        true => (Outcome::Unknown, "The call may have happened. Do not repeat it; find out by other means, or say so."),
        false => (Outcome::Unavailable, "The call did not happen. Go on without this tool, or say what is missing."),
    };
    tracing::warn!(tool, %error, ?outcome, "the tool-proxy is away: the agent is told");
    let content = json!({ "error": "TOOL_PROXY_UNAVAILABLE", "tool": tool, "message": how });
    ToolAnswer {
        content: content.to_string().into(),
        content_type: "application/json".into(),
        outcome,
        degraded_reason: "TOOL_PROXY_UNAVAILABLE".into(),
        age: None,
        replayed: false,
    }
}

impl From<pb::CallToolResponse> for ToolAnswer {
    fn from(answer: pb::CallToolResponse) -> Self {
        let outcome = match answer.outcome() {
            pb::Outcome::Real => Outcome::Real,
            pb::Outcome::ToolError => Outcome::ToolError,
            pb::Outcome::Cached => Outcome::Cached,
            pb::Outcome::Degraded => Outcome::Degraded,
            pb::Outcome::Unavailable => Outcome::Unavailable,
            // What a newer proxy may say is treated with the most care.
            pb::Outcome::Unknown | pb::Outcome::Unspecified => Outcome::Unknown,
        };
        Self {
            outcome,
            content: answer.content,
            content_type: answer.content_type,
            degraded_reason: answer.degraded_reason,
            age: answer.age.as_ref().and_then(holdfast_rpc::time::span),
            replayed: answer.replayed,
        }
    }
}
