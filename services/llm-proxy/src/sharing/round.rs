//! What one round tells the ledger of a provider, and what it answers. Times are microseconds of a member's own clock.

use std::{collections::BTreeMap, sync::Arc};

use crate::domain::Counted;

/// A process for as long as the ledger takes it for alive: afterwards it joins under another name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MemberId(pub(crate) Arc<str>);

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) member: MemberId,
    /// Whether it may be one that the ledger does not know.
    pub(crate) joins: bool,
    /// Its own clock, which rises from round to round.
    pub(crate) clock: u64,
    /// What the clocks of others must have reached by now, by what this member heard last.
    pub(crate) others: BTreeMap<MemberId, u64>,
    pub(crate) limits: Vec<Line>,
}

/// One limit in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: Arc<str>,
    pub(crate) counted: Counted,
    /// What all members may use together.
    pub(crate) limit: u64,
    /// Limits of one group are granted together or not at all.
    pub(crate) group: u32,
    pub(crate) over: u64,
    pub(crate) settled: u64,
    pub(crate) settled_at: u64,
    pub(crate) returned: u64,
    pub(crate) want: u64,
    pub(crate) chunk: u64,
    /// When less arrived than was told, and how much less.
    pub(crate) corrections: Vec<(u64, u64)>,
}

/// What the ledger answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken {
        /// Of those who may be alive; one's clock has certainly reached it.
        clocks: BTreeMap<MemberId, u64>,
        /// As in the round.
        limits: Vec<Said>,
    },
    /// Nothing is known of the member, though it did not say that it joins.
    Unknown,
    /// It was silent for too long, and others have what it had.
    Dead,
    /// It has said something later already.
    Stale,
}

/// What the ledger says of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Said {
    pub(crate) granted: u64,
    pub(crate) free: u64,
    pub(crate) used: u64,
    /// After how long there is enough for one more like the first in line; 0 where nothing is used.
    pub(crate) next: u64,
    /// And when all of it is free.
    pub(crate) last: u64,
    pub(crate) others: u64,
    pub(crate) let_go: u64,
}
