//! Why there is no answer, and what that means for trying again and for the tool's health.

use std::time::Duration;

const TIMEOUT: &str = "TIMEOUT";
const FIRST_BYTE_TIMEOUT: &str = "FIRST_BYTE_TIMEOUT";
const SESSION: &str = "SESSION";

/// Why a tool did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Miss {
    /// A stable word for programs: CIRCUIT_OPEN, TIMEOUT, OVERLOADED, CONNECT, TLS, BROKEN, HTTP_503 and the like.
    pub(crate) reason: String,
    /// Whether the request may have reached the tool.
    pub(crate) left: bool,
    /// Whether the same request might succeed a moment later.
    pub(crate) passing: bool,
    /// Not before so long, where the tool said that.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the host failed, not the tool on it: no connection, one that broke before a head, 502, 503, 504.
    pub(crate) host_failed: bool,
    /// Whether the tool is in health all the same: it answered, in a way that is not taken.
    pub(crate) healthy: bool,
}

impl Miss {
    /// The request certainly never left.
    pub(crate) fn kept(reason: &str) -> Self {
        Self {
            reason: reason.into(),
            left: false,
            passing: false,
            retry_after: None,
            host_failed: false,
            healthy: false,
        }
    }

    /// The connection could not be made: nothing left, and it may work in a moment.
    pub(crate) fn unconnected() -> Self {
        Self { passing: true, host_failed: true, ..Self::kept("CONNECT") }
    }

    /// The request may have reached the tool.
    pub(crate) fn left(reason: impl Into<String>) -> Self {
        Self { left: true, passing: true, ..Self::kept(&reason.into()) }
    }

    /// It was the host that failed.
    #[must_use]
    pub(crate) fn of_the_host(self) -> Self {
        Self { host_failed: true, ..self }
    }

    /// The tool said when to come back.
    #[must_use]
    pub(crate) fn come_back_in(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }

    /// Nobody waited any longer.
    pub(crate) fn timeout() -> Self {
        Self::left(TIMEOUT)
    }

    /// No time is left for a request: it was not made.
    pub(crate) fn out_of_time() -> Self {
        Self::kept(TIMEOUT)
    }

    pub(crate) fn is_timeout(&self) -> bool {
        self.reason == TIMEOUT
    }

    /// Not a byte of an answer came in the tool's own time for it.
    pub(crate) fn silence() -> Self {
        Self::left(FIRST_BYTE_TIMEOUT)
    }

    /// Whether it tells nothing of the host: nobody has said anything.
    pub(crate) fn is_silence(&self) -> bool {
        self.reason == FIRST_BYTE_TIMEOUT
    }

    /// The server did not know the session that the request came with, and looked at nothing else.
    pub(crate) fn unknown_session() -> Self {
        Self { reason: SESSION.into(), ..Self::unconnected() }
    }

    pub(crate) fn is_unknown_session(&self) -> bool {
        self.reason == SESSION
    }

    /// Whether it tells nothing of the tool: for a reason of ours it was not asked, such as an address that is not allowed.
    pub(crate) fn is_ours(&self) -> bool {
        !self.left && !self.passing
    }

    /// The tool answered, with more than is taken: it would do so again.
    pub(crate) fn too_large() -> Self {
        Self { left: true, healthy: true, ..Self::kept("ANSWER_TOO_LARGE") }
    }
}
