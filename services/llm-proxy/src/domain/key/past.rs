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

/// What is known of the last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Days {
    /// There were no such limits.
    Fresh,
    /// What there was at that time.
    Kept { at: Duration, days: Vec<DailyUse> },
    /// There were, and what they held is not known.
    Lost,
}

/// The last day of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DailyUse {
    /// The model; all of the key's where there is none.
    pub(crate) lane: Option<Lane>,
    pub(crate) kind: Kind,
    /// What was used, by the time from which it counts no more.
    pub(crate) slices: Vec<(Duration, u64)>,
}

impl Days {
    /// Counts it in those daily meters of a book that know nothing yet, with what calls have used since. A limit that is new
    /// counts what is known of the last window.
    pub(super) fn enter(&self, past: &Past, book: &mut Book, fresh: &[Kind], lane: Option<Lane>, now: Duration) {
        let daily = book.meters_mut().filter(|(kind, _)| kind.is_daily() && fresh.contains(kind));
        for (kind, meter) in daily {
            let mut known_until = None;
            match self {
                Self::Fresh => {}
                Self::Lost => meter.charge(now, meter.limit()),
                Self::Kept { at, days } => {
                    for day in days.iter().filter(|day| day.lane == lane && day.kind == kind) {
                        day.slices.iter().for_each(|(until, amount)| meter.restore(*until, *amount));
                        known_until = Some(*at);
                    }
                }
            }
            let since = uses(past.of(lane), kind, now)
                .into_iter()
                .filter(|(at, _)| known_until.is_none_or(|known| *at > known));
            since.for_each(|(at, amount)| meter.charge(at, amount));
        }
    }
}

impl Past {
    fn of(&self, lane: Option<Lane>) -> impl Iterator<Item = &Record> {
        let records = match self {
            Self::Kept(records) => records.as_slice(),
            Self::Fresh | Self::Lost(_) => &[],
        };
        records.iter().filter(move |record| lane.is_none() || record.lane == lane)
    }

    /// Counts it in those meters of a book that know nothing yet. The latest time that they now know of: they must not be
    /// asked about a time before.
    pub(super) fn enter(&self, book: &mut Book, fresh: &[Kind], lane: Option<Lane>, now: Duration) -> Duration {
        let mut latest = Duration::ZERO;
        for (kind, meter) in book.meters_mut().filter(|(kind, _)| fresh.contains(kind) && !kind.is_daily()) {
            if let Self::Lost(until) = self {
                meter.charge(*until, meter.limit());
            }
            for (at, amount) in uses(self.of(lane), kind, now) {
                meter.charge(at, amount);
                latest = latest.max(at);
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
