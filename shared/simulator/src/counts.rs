//! What the simulated ends saw. The figures are their own: nobody has to believe the mesh about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// TCP connections accepted, where the simulator listens by itself (in tests).
    pub connections: u64,
    /// Requests that showed no known key.
    pub strangers: u64,
    /// The provider's keys.
    pub keys: BTreeMap<String, KeyCounts>,
    /// The tools.
    pub tools: BTreeMap<String, ToolCounts>,
}

impl Counts {
    /// How often the provider said 429, over all keys, because a limit was passed.
    pub fn refused(&self) -> u64 {
        self.keys.values().map(|key| key.refused).sum()
    }

    /// How many model calls were answered in full, over all keys.
    pub fn answered(&self) -> u64 {
        self.keys.values().map(|key| key.answered).sum()
    }

    /// A key's counts.
    pub fn key(&self, key: &str) -> KeyCounts {
        self.keys.get(key).cloned().unwrap_or_default()
    }

    /// A tool's counts.
    pub fn tool(&self, tool: &str) -> ToolCounts {
        self.tools.get(tool).cloned().unwrap_or_default()
    }
}

/// What one API key did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// Requests that arrived, refused ones included.
    pub requests: u64,
    /// Answered in full.
    pub answered: u64,
    /// Answered 429 because a limit was passed.
    pub refused: u64,
    /// Which limits those were.
    pub refused_by: BTreeMap<String, u64>,
    /// Answered with another error: a fault, or a bad request.
    pub errors: u64,
    /// Given up before the answer was complete: the caller went away, or a fault cut the answer.
    pub broken_off: u64,
    /// In hand now.
    pub in_flight: u32,
    /// The most that ever were at once.
    pub in_flight_max: u32,
    /// The most requests that were let into one window.
    pub in_window_max: usize,
    /// The greatest sums that any window held, refused requests included: the provider's strict count.
    pub most: Most,
    /// The models that were asked for.
    pub models: BTreeMap<String, ModelCounts>,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
}

/// What one model was asked with one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCounts {
    /// Requests for it, refused ones included.
    pub requests: u64,
    /// The greatest sums that any window held.
    pub most: Most,
}

/// The greatest sum that any sliding window held, of each kind. It is counted on arrival, or as tokens are written, by the
/// provider's monotonic clock, without regard to limits and refusals; a window has both of its ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Most {
    /// Requests.
    pub requests: u64,
    /// Tokens read and written together.
    pub tokens: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// What one tool did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCounts {
    /// Calls that arrived.
    pub calls: u64,
    /// Answered in full, its own errors such as "not found" included.
    pub answered: u64,
    /// Answered with a fault's error.
    pub errors: u64,
    /// Given up before the answer was complete.
    pub broken_off: u64,
    /// Calls that a fault let hang, for a while or for ever.
    pub hung: u64,
    /// Answers that a fault kept back or cut, after the effect.
    pub lost: u64,
    /// In hand now.
    pub open: u32,
    /// The most that ever were at once.
    pub open_max: u32,
    /// Effects that happened: one for each `Idempotency-Key`, and one for each call without.
    pub effects: u64,
    /// Calls that repeated a key: answered as the first was, without another effect.
    pub repeats: u64,
}
