//! What an HTTP status says about the call and about the tool's health.

use super::{Effect, Outcome};

const TIMEOUT: &str = "TIMEOUT";

/// Why a tool did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Miss {
    /// A stable word for programs: CIRCUIT_OPEN, TIMEOUT, OVERLOADED, CONNECT, BROKEN, HTTP_503 and the like.
    pub(crate) reason: String,
    /// Whether the request may have reached the tool.
    pub(crate) left: bool,
    /// Whether the same request might succeed a moment later.
    pub(crate) passing: bool,
}

impl Miss {
    /// The request certainly never left.
    pub(crate) fn kept(reason: &str) -> Self {
        Self { reason: reason.into(), left: false, passing: false }
    }

    /// The connection could not be made: nothing left, and it may work in a moment.
    pub(crate) fn unconnected() -> Self {
        Self { reason: "CONNECT".into(), left: false, passing: true }
    }

    /// The request may have reached the tool.
    pub(crate) fn left(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), left: true, passing: true }
    }

    /// Nobody waited any longer.
    pub(crate) fn timeout() -> Self {
        Self::left(TIMEOUT)
    }

    pub(crate) fn is_timeout(&self) -> bool {
        self.reason == TIMEOUT
    }

    /// The tool answered, with more than is taken: it would do so again.
    pub(crate) fn too_large() -> Self {
        Self { reason: "ANSWER_TOO_LARGE".into(), left: true, passing: false }
    }
}

/// What a status says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The tool has spoken: its body is the answer.
    Answered(Outcome),
    /// The tool failed; no body counts.
    Failed(Miss),
}

/// 2xx is an answer; 4xx is an answer of the tool's own, such as "not found"; the rest is a failure. A refusal for the
/// moment (408, 429) is a failure too, but to an effectful call it says surely that nothing was done, and nothing may
/// stand in for what was sent: so there it is the answer.
pub(crate) fn judge(status: u16, effect: Effect) -> Verdict {
    match status {
        200..=299 => Verdict::Answered(Outcome::Real),
        408 | 429 if effect == Effect::Effectful => Verdict::Answered(Outcome::ToolError),
        408 | 429 => Verdict::Failed(Miss::left(format!("HTTP_{status}"))),
        400..=499 => Verdict::Answered(Outcome::ToolError),
        _ => Verdict::Failed(Miss::left(format!("HTTP_{status}"))),
    }
}

/// Whether a status shows a healthy tool.
pub(crate) fn healthy(status: u16) -> bool {
    matches!(status, 200..=299 | 400..=407 | 409..=428 | 430..=499)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_own_error_is_an_answer_and_no_failure() {
        assert_eq!(judge(404, Effect::ReadOnly), Verdict::Answered(Outcome::ToolError));
        assert!(healthy(404));
    }

    #[test]
    fn failures_count_against_the_tool() {
        for status in [301, 408, 429, 500, 503] {
            assert!(matches!(judge(status, Effect::Idempotent), Verdict::Failed(_)), "{status}");
            assert!(!healthy(status), "{status}");
        }
    }

    #[test]
    fn a_refusal_for_the_moment_is_what_an_effectful_call_is_told() {
        assert_eq!(judge(429, Effect::Effectful), Verdict::Answered(Outcome::ToolError));
        assert!(matches!(judge(503, Effect::Effectful), Verdict::Failed(Miss { left: true, .. })));
    }
}
