//! How a breaker stands: for those whom it refuses, those who watch it, and those who take its standing over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// A few probes pass.
    HalfOpen,
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The breaker itself, by what becomes of the calls.
    #[default]
    Auto,
    /// An operator: nothing passes until told otherwise.
    ForcedOpen,
    /// An operator: everything passes until told otherwise, whatever fails.
    ForcedClosed,
}

/// No leave: the call must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Open or half-open.
    pub state: State,
    /// When to come back. In half-open, and while an operator holds it open, nobody knows: the open time stands in.
    pub retry_after: Duration,
}

/// What one breaker tells another of itself, or its successor after a restart: plain data, to be stored or sent, and taken
/// over by [`super::Core::adopt`]. Of the calls it says nothing: they are counted where they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Where it stands.
    pub state: State,
    /// Who decides.
    pub mode: Mode,
    /// Times it opened without closing in between: what the next open time grows by.
    pub openings: u32,
    /// What is left of the open time; zero where it is not open, or held open by an operator. Whoever stores this takes off
    /// what passes until it is read.
    pub open_for: Duration,
    /// Why.
    pub reason: Reason,
    /// Which of two standings is the newer one: it rises by one with each change.
    pub generation: u64,
}

/// A breaker as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it stands.
    pub state: State,
    /// Who decides.
    pub mode: Mode,
    /// Why.
    pub reason: Reason,
    /// Calls in its window (in half-open: probes that have ended).
    pub calls: u32,
    /// Failed ones among them.
    pub failures: u32,
    /// Slow ones among them.
    pub slow: u32,
    /// While open: how long until probes pass, or the open time where an operator holds it open. Else zero.
    pub retry_after: Duration,
    /// How long ago it last changed.
    pub changed_ago: Duration,
    /// Times it opened without closing in between.
    pub openings: u32,
    /// Rises by one with each change; see [`Standing::generation`].
    pub generation: u64,
    /// Whether it stands so because another breaker does.
    pub adopted: bool,
}

impl Snapshot {
    /// The part of it that another breaker can take over.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let decides = self.mode == Mode::Auto;
        Standing {
            state: self.state,
            mode: self.mode,
            openings: self.openings,
            open_for: if decides { self.retry_after } else { Duration::ZERO },
            reason: self.reason,
            generation: self.generation,
        }
    }
}
