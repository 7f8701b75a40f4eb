//! Why a breaker stands where it does.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::standing::Mode;

/// Why a breaker came to stand where it does. Its text is for people; what is stored or sent is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It has never changed.
    Started,
    /// Too many calls of the window failed.
    FailureRate {
        /// Failed calls in the window.
        failures: u32,
        /// All calls in the window.
        calls: u32,
    },
    /// Too many calls of the window took too long.
    SlowRate {
        /// Slow calls in the window.
        slow: u32,
        /// All calls in the window.
        calls: u32,
    },
    /// Too many calls failed in a row.
    ConsecutiveFailures(u32),
    /// The open time has passed: it probes.
    OpenTimePassed,
    /// A probe failed.
    ProbeFailed,
    /// Too many of the probes took too long.
    ProbesSlow {
        /// Slow ones among those that have ended.
        slow: u32,
        /// All that there are in one half-open.
        probes: u32,
    },
    /// Every probe succeeded.
    ProbesSucceeded,
    /// An operator set it so, or left it to itself again.
    Forced(Mode),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => write!(f, "started"),
            Self::FailureRate { failures, calls } => write!(f, "{failures} of {calls} calls failed"),
            Self::SlowRate { slow, calls } => write!(f, "{slow} of {calls} calls were slow"),
            Self::ConsecutiveFailures(failures) => write!(f, "{failures} calls failed in a row"),
            Self::OpenTimePassed => write!(f, "the open time has passed"),
            Self::ProbeFailed => write!(f, "a probe failed"),
            Self::ProbesSlow { slow, probes } => write!(f, "{slow} of {probes} probes were slow"),
            Self::ProbesSucceeded => write!(f, "every probe succeeded"),
            Self::Forced(Mode::ForcedOpen) => write!(f, "opened by hand"),
            Self::Forced(Mode::ForcedClosed) => write!(f, "closed by hand"),
            Self::Forced(Mode::Auto) => write!(f, "left to itself again"),
        }
    }
}
