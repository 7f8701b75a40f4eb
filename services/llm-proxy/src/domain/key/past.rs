//! What is known of a key's calls when its meters begin: those of a process that is gone, or of the time before a limit.

use std::time::Duration;

use crate::domain::{
    ENDING_MAX,
    meter::{Book, Kind},
    pool::{Lane, Need},
};

/// What is known of one earlier call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Record {
    /// Its model, where there are limits for it.
    pub(crate) lane: Option<Lane>,
    /// When its arrival was certain.
    pub(crate) arrived: Option<Duration>,
    /// When its end was certain.
    pub(crate) ended: Option<Duration>,
    pub(crate) used: Need,
}

/// What is known of the last window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Past {
    /// The key was never used here.
    Fresh,
    /// Every call that may still count.
    Kept(Vec<Record>),
    /// Calls were made until this time, and are not known.
    Lost(Duration),
}

impl Past {
    /// Counts it in those meters of a book that know nothing yet. The latest time that they now know of: they must not be
    /// asked about a time before.
    pub(super) fn enter(&self, book: &mut Book, fresh: &[Kind], lane: Option<Lane>, now: Duration) -> Duration {
        let mut latest = Duration::ZERO;
        for (kind, meter) in book.meters_mut().filter(|(kind, _)| fresh.contains(kind)) {
            match self {
                Self::Fresh => {}
                Self::Lost(until) if kind == Kind::Concurrency => latest = latest.max(*until),
                Self::Lost(until) => meter.charge(*until, meter.limit()),
                Self::Kept(records) => {
                    let of_book = records.iter().filter(|record| lane.is_none() || record.lane == lane);
                    for (at, amount) in uses(of_book, kind, now) {
                        meter.charge(at, amount);
                        latest = latest.max(at);
                    }
                }
            }
        }
        latest
    }
}

/// What calls took of a kind of limit, oldest first. What was left open is over once a call given up is.
fn uses<'r>(records: impl Iterator<Item = &'r Record>, kind: Kind, now: Duration) -> Vec<(Duration, u64)> {
    let over = now + ENDING_MAX;
    let parts = records.flat_map(|record| {
        let parts = kind.parts(record.used);
        [(record.arrived.unwrap_or(over), parts.at_arrival), (record.ended.unwrap_or(over), parts.at_end)]
    });
    let mut uses: Vec<_> = parts.filter(|(_, amount)| *amount > 0).collect();
    uses.sort_unstable();
    uses
}
