//! What counts against one limit: taken by an estimate, settled by what it was.
//!
//! A part of a call counts from its arrival, another from its end: requests and what is read arrive, what is written ends.
//! Until then a part counts without an end; from there for one window, or not at all for a place.

mod book;
mod day;

use std::{sync::Arc, time::Duration};

use holdfast_resilience::SlidingLog;

pub(crate) use self::book::{Book, Held};
use self::day::DayLog;
use super::{
    pool::{Need, Shares},
    stock::{Counted, Stock},
};
use crate::config::ModelLimits;

/// Windows in a day.
const DAY: u32 = 24 * 60;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Requests,
    /// Read and written together.
    Tokens,
    Input,
    Output,
    Concurrency,
    RequestsPerDay,
    TokensPerDay,
}

/// What a call takes of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    pub(crate) at_arrival: u64,
    pub(crate) at_end: u64,
}

/// The state of one limit.
#[derive(Debug)]
pub(crate) enum Meter {
    /// Of any window.
    Log(SlidingLog),
    /// Of any day.
    Day(DayLog),
    /// At once.
    Places { limit: u64, held: u64 },
    /// Shared with other processes, by the name that all of them give it.
    Stock(Arc<str>, Box<Stock>),
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Requests,
        Self::Tokens,
        Self::Input,
        Self::Output,
        Self::Concurrency,
        Self::RequestsPerDay,
        Self::TokensPerDay,
    ];

    pub(crate) fn limit(self, limits: &ModelLimits) -> Option<u64> {
        match self {
            Self::Requests => limits.requests_per_minute.map(u64::from),
            Self::Tokens => limits.tokens_per_minute,
            Self::Input => limits.input_tokens_per_minute,
            Self::Output => limits.output_tokens_per_minute,
            Self::Concurrency => limits.concurrency.map(u64::from),
            Self::RequestsPerDay => limits.requests_per_day,
            Self::TokensPerDay => limits.tokens_per_day,
        }
    }

    /// What a call of this size takes.
    pub(crate) fn parts(self, need: Need) -> Parts {
        let (at_arrival, at_end) = match self {
            Self::Requests | Self::RequestsPerDay => (1, 0),
            Self::Tokens | Self::TokensPerDay => (need.input, need.output),
            Self::Input => (need.input, 0),
            Self::Output => (0, need.output),
            Self::Concurrency => (0, 1),
        };
        Parts { at_arrival, at_end }
    }

    /// What of a need fits a limit that has nothing else in use.
    pub(crate) fn most(self, need: Need, limit: u64) -> Need {
        let parts = self.parts(need).within(limit);
        match self {
            Self::Tokens | Self::TokensPerDay => Need { input: parts.at_arrival, output: parts.at_end },
            Self::Input => Need { input: parts.at_arrival, ..need },
            Self::Output => Need { output: parts.at_end, ..need },
            Self::Requests | Self::RequestsPerDay | Self::Concurrency => need,
        }
    }

    fn counted(self, window: Duration) -> Counted {
        if self == Self::Concurrency { Counted::Places } else { Counted::Window(window) }
    }

    pub(crate) fn is_daily(self) -> bool {
        matches!(self, Self::RequestsPerDay | Self::TokensPerDay)
    }

    /// For how long something counts after its arrival.
    pub(crate) fn span(self, window: Duration) -> Duration {
        if self.is_daily() { window.saturating_mul(DAY) } else { window }
    }
}

impl Parts {
    pub(crate) fn sum(self) -> u64 {
        self.at_arrival.saturating_add(self.at_end)
    }

    /// A call that is larger than the whole limit takes all of it: else it would wait for ever.
    pub(crate) fn within(self, limit: u64) -> Self {
        let at_arrival = self.at_arrival.min(limit);
        Self { at_arrival, at_end: self.at_end.min(limit - at_arrival) }
    }
}

/// A ledger that is new counts as spent for as long as its limit counts, which would be a day: so each process has a part of its
/// own.
fn daily(limit: u64, shares: Option<Shares>) -> u64 {
    shares.map_or(limit, |shares| shares.part(limit))
}

impl Meter {
    pub(crate) fn new(kind: Kind, limit: u64, window: Duration, shares: Option<Shares>) -> Self {
        match kind {
            _ if let Some(shares) = shares.filter(|_| !kind.is_daily()) => {
                let (limit, share) = shares.of(limit);
                Self::Stock("".into(), Box::new(Stock::new(kind.counted(window), limit, share)))
            }
            Kind::Concurrency => Self::Places { limit, held: 0 },
            _ if kind.is_daily() => Self::Day(DayLog::new(daily(limit, shares), kind.span(window))),
            _ => Self::Log(SlidingLog::new(limit, window)),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        match self {
            Self::Log(log) => log.limit(),
            Self::Day(log) => log.limit(),
            Self::Places { limit, .. } => *limit,
            Self::Stock(_, stock) => stock.limit(),
        }
    }

    /// Another limit from here on; what is used stays used.
    fn set(&mut self, kind: Kind, to: u64, window: Duration, shares: Option<Shares>) {
        match self {
            Self::Stock(_, stock) => {
                let (limit, share) = shares.map_or((to, 0), |shares| shares.of(to));
                stock.set(kind.counted(window), limit, share);
            }
            Self::Log(log) => log.set(to, window),
            Self::Day(log) => log.set(daily(to, shares), kind.span(window)),
            Self::Places { limit, .. } => *limit = to,
        }
    }

    /// What could be taken now.
    pub(crate) fn available(&mut self, now: Duration) -> u64 {
        match self {
            Self::Log(log) => log.available(now),
            Self::Day(log) => log.available(now),
            Self::Places { limit, held } => limit.saturating_sub(*held),
            Self::Stock(_, stock) => stock.available(now),
        }
    }

    /// The same, without forgetting what counts no more.
    pub(crate) fn left(&self, now: Duration) -> u64 {
        if let Self::Stock(_, stock) = self {
            return stock.outlook(now).0;
        }
        let counts: u64 = self.frees().filter(|(at, _)| *at > now).map(|(_, amount)| amount).sum();
        self.limit().saturating_sub(counts.saturating_add(self.reserved()))
    }

    /// Takes it, whether it is available or not: who asks has looked. Followed by [`Self::arrive`] or [`Self::release`].
    pub(crate) fn reserve(&mut self, now: Duration, amount: u64) {
        match self {
            Self::Log(log) => log.overdraw(amount),
            Self::Day(log) => log.reserve(amount),
            Self::Places { held, .. } => *held = held.saturating_add(amount),
            Self::Stock(_, stock) => stock.reserve(now, amount),
        }
    }

    /// What a call of this size takes, reserved.
    fn hold(&mut self, now: Duration, kind: Kind, need: Need) -> Parts {
        let parts = kind.parts(need).within(self.limit());
        self.reserve(now, parts.sum());
        parts
    }

    /// What was reserved has certainly arrived, or ended: from here its time runs.
    pub(crate) fn arrive(&mut self, now: Duration, amount: u64) {
        match self {
            Self::Stock(_, stock) => stock.arrive(now, amount),
            Self::Log(log) => log.arrive(now, amount),
            Self::Day(log) => log.arrive(now, amount),
            Self::Places { held, .. } => *held = held.saturating_sub(amount),
        }
    }

    /// What was reserved and certainly not used is free again.
    pub(crate) fn release(&mut self, now: Duration, amount: u64) {
        match self {
            Self::Stock(_, stock) => stock.release(now, amount),
            Self::Log(log) => log.release(amount),
            Self::Day(log) => log.release(amount),
            Self::Places { held, .. } => *held = held.saturating_sub(amount),
        }
    }

    /// More was used than was reserved: it counts from now, past the limit even.
    pub(crate) fn charge(&mut self, now: Duration, amount: u64) {
        match self {
            Self::Stock(_, stock) => stock.charge(now, amount),
            Self::Log(log) => log.charge(now, amount),
            Self::Day(log) => log.charge(now, amount),
            Self::Places { .. } => {}
        }
    }

    /// What an earlier process counts of a day, until that time.
    pub(crate) fn restore(&mut self, until: Duration, amount: u64) {
        if let Self::Day(log) = self {
            log.count(until, amount);
        }
    }

    /// Less arrived at that time than was reserved.
    pub(crate) fn correct(&mut self, arrived: Duration, fewer: u64) {
        match self {
            Self::Stock(_, stock) => stock.correct(arrived, fewer),
            Self::Log(log) => log.correct(arrived, fewer),
            Self::Day(log) => log.correct(arrived, fewer),
            Self::Places { .. } => {}
        }
    }

    /// What is reserved and has not arrived: nobody knows yet when it becomes free.
    pub(crate) fn reserved(&self) -> u64 {
        match self {
            Self::Log(log) => log.reserved(),
            Self::Day(log) => log.reserved(),
            Self::Places { held, .. } => *held,
            Self::Stock(_, stock) => stock.reserved(),
        }
    }

    /// When what has arrived becomes free again, oldest first, with how much each time.
    pub(crate) fn frees(&self) -> Box<dyn Iterator<Item = (Duration, u64)> + '_> {
        match self {
            Self::Log(log) => Box::new(log.frees()),
            Self::Day(log) => Box::new(log.frees()),
            Self::Places { .. } => Box::new(std::iter::empty()),
            Self::Stock(_, stock) => Box::new(stock.frees()),
        }
    }

    /// When time alone makes something free, after this time.
    fn next_free(&self, after: Duration) -> Option<Duration> {
        match self {
            Self::Log(log) => log.next_free(after),
            Self::Day(log) => log.frees().map(|(at, _)| at).find(|at| *at > after),
            Self::Places { .. } => None,
            Self::Stock(_, stock) => stock.next_change(after),
        }
    }
}
