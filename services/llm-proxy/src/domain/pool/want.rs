//! What is asked of a pool, and what it says.

use std::{sync::Arc, time::Duration};

use crate::domain::line::Ticket;

/// An upstream model of the provider: the index that the pool gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lane(pub(crate) u16);

/// A key. No other one ever has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(pub(crate) u64);

/// A call that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallId(pub(crate) u64);

/// Tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Need {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// What a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) lane: Lane,
    pub(crate) tenant: Arc<str>,
    /// The tenant's share beside the others'.
    pub(crate) weight: u32,
    /// Among the calls of one tenant the higher goes first.
    pub(crate) priority: i32,
    pub(crate) need: Need,
    /// What it counts for in the line, where no key could give it all that it needs: the pool says it.
    pub(crate) counted: Option<Need>,
    /// What it costs to keep it waiting.
    pub(crate) bytes: usize,
    /// When it makes no sense any more to start.
    pub(crate) deadline: Option<Duration>,
    /// Where it would go elsewhere rather than start later.
    pub(crate) start_by: Option<Duration>,
}

/// Leave to call with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) call: CallId,
    pub(crate) key: KeyId,
    pub(crate) lane: Lane,
    pub(crate) ticket: Ticket,
}

/// No leave, and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) why: Why,
    pub(crate) retry_after: Duration,
    /// When it would start here, from now, as far as can be said.
    pub(crate) starts_in: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The line is as long as it may be.
    Full,
    /// It would start after its deadline.
    Late,
    /// It would start later than it is willing to wait here.
    Slow,
    /// No key can be used.
    NoKey,
}

/// What becomes of a call that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Granted(Grant),
    Waiting(Ticket),
    Refused(Refusal),
}

/// What became of a call that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Granted(Grant),
    Refused(Ticket, Refusal),
}

impl Need {
    pub(crate) fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Want {
    /// What it counts for in the line.
    pub(crate) fn counted(&self) -> Need {
        self.counted.unwrap_or(self.need)
    }

    /// Why it cannot wait for a start at this time, where it cannot.
    pub(crate) fn misses(&self, start: Duration) -> Option<Why> {
        let after = |latest: Option<Duration>| latest.is_some_and(|latest| start > latest);
        match (after(self.deadline), after(self.start_by)) {
            (true, _) => Some(Why::Late),
            (false, true) => Some(Why::Slow),
            (false, false) => None,
        }
    }
}
