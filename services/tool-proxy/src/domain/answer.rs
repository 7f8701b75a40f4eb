//! What a call comes to.

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
}

impl Answer {
    /// Nothing could answer.
    pub(crate) fn unavailable(tool: &str, reason: &str, advice: &str) -> Self {
        Self::notice(Outcome::Unavailable, "unavailable", tool, reason, advice)
    }

    /// An effectful call may have happened, and nobody will try again.
    pub(crate) fn unknown(tool: &str, reason: &str) -> Self {
        let advice = "The call may or may not have had its effect, and it will not be sent again. \
                      Find out by other means before going on, and say so in the answer.";
        Self::notice(Outcome::Unknown, "outcome_unknown", tool, reason, advice)
    }

    /// JSON that the mesh made up itself.
    pub(crate) fn made(outcome: Outcome, value: &serde_json::Value, reason: &str) -> Self {
        Self { outcome, content: value.to_string().into(), content_type: JSON.into(), reason: reason.into(), age: None }
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
    /// Waiting for a place.
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
