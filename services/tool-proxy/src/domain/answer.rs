//! What a call comes to.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The tool answered.
    Real,
    /// The tool answered that it cannot do this.
    ToolError,
    /// The tool's last good answer.
    Cached,
    /// A fallback answered.
    Degraded,
    /// Nothing could answer.
    Unavailable,
    /// An effectful call may have happened.
    Unknown,
}

impl Outcome {
    /// For metrics and spans.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::ToolError => "tool_error",
            Self::Cached => "cached",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// A tool's answer, or what stands in for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    #[serde(with = "super::record::content")]
    pub(crate) content: Bytes,
    pub(crate) content_type: String,
    /// Why the tool itself did not answer; empty where it did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    /// The age of a cached answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) age: Option<Duration>,
    /// What stood in; none where the tool itself answered, or nothing may stand in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stand_in: Option<StandIn>,
}

/// What stood in for a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StandIn {
    /// Always the same answer.
    Fixed,
    /// The tool's last good answer.
    LastGood,
    /// Another tool, by its name.
    Tool(String),
    /// Nothing but advice.
    Unavailable,
}

impl StandIn {
    /// For metrics and spans.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::LastGood => "last_good",
            Self::Tool(_) => "tool",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name) => write!(f, "tool:{name}"),
            other => f.write_str(other.kind()),
        }
    }
}

impl Answer {
    /// What a tool said itself.
    pub(crate) fn said(outcome: Outcome, content: Bytes, content_type: String) -> Self {
        Self { outcome, content, content_type, reason: String::new(), age: None, stand_in: None }
    }

    /// Nothing could answer.
    pub(crate) fn unavailable(tool: &str, reason: &str, advice: &str) -> Self {
        Self::notice(Outcome::Unavailable, "unavailable", tool, reason, advice).by(StandIn::Unavailable)
    }

    /// An effectful call may have happened, and nobody will try again.
    pub(crate) fn unknown(tool: &str, reason: &str) -> Self {
        let advice = "The call may or may not have had its effect, and it will not be sent again. \
                      Find out by other means before going on, and say so in the answer.";
        Self::notice(Outcome::Unknown, "outcome_unknown", tool, reason, advice)
    }

    /// JSON that the mesh made up itself.
    pub(crate) fn made(outcome: Outcome, value: &serde_json::Value, reason: &str) -> Self {
        Self { reason: reason.into(), ..Self::said(outcome, value.to_string().into(), JSON.into()) }
    }

    /// It stands in for the tool.
    #[must_use]
    pub(crate) fn by(self, stand_in: StandIn) -> Self {
        Self { stand_in: Some(stand_in), ..self }
    }

    fn notice(outcome: Outcome, error: &str, tool: &str, reason: &str, advice: &str) -> Self {
        let value = serde_json::json!({"error": error, "tool": tool, "reason": reason, "advice": advice});
        Self::made(outcome, &value, reason)
    }
}

/// The media type where nobody says another.
pub(crate) const JSON: &str = "application/json";

/// Where the time of a call went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Waiting: for a place, or for an equal call that is under way already.
    pub(crate) waited: Duration,
    /// In the tool, over all attempts.
    pub(crate) called: Duration,
    /// Requests sent.
    pub(crate) attempts: u32,
}

/// An answer on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) timing: Timing,
    /// Whether it is the recorded answer of an earlier, equal call.
    pub(crate) replayed: bool,
}
