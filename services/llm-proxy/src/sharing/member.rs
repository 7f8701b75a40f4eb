//! This process as the ledger knows it: what it says in a round, and what it makes of the answer. Pure: `now` comes from
//! outside.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::round::{Answer, Line, MemberId, Round, Said};
use crate::domain::{Granted, Report, Stock};

/// The stocks of one provider.
pub(crate) trait Stocks {
    /// Calls it with each: its name, the group whose limits a call takes together, and the stock.
    fn each(&mut self, visit: &mut dyn FnMut(&Arc<str>, u32, &mut Stock));
}

/// What became of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Shared,
    /// The ledger knows this process no more: it is a new member from now on.
    Rejoins,
    /// Something that was said later has been answered already.
    Stale,
}

/// A round on its way.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) round: Round,
    at: Duration,
    reports: Vec<Report>,
}

#[derive(Debug)]
pub(crate) struct Member {
    id: MemberId,
    /// When its clock began.
    origin: Duration,
    /// Whether the ledger has certainly heard of it.
    joined: bool,
    /// The others' clocks as they were heard of, and when.
    clocks: BTreeMap<MemberId, (u64, Duration)>,
}

impl Member {
    pub(crate) fn new(id: MemberId, now: Duration) -> Self {
        Self { id, origin: now, joined: false, clocks: BTreeMap::new() }
    }

    /// Under another name, as one that the ledger has never heard of.
    pub(crate) fn rejoin(&mut self, id: MemberId, now: Duration, stocks: &mut impl Stocks) {
        *self = Self::new(id, now);
        stocks.each(&mut |_, _, stock| stock.rejoin(now));
    }

    pub(crate) fn id(&self) -> &MemberId {
        &self.id
    }

    /// How many others there are, as far as the ledger knows.
    pub(crate) fn others(&self) -> usize {
        self.clocks.len()
    }

    /// What to say now.
    pub(crate) fn speak(&mut self, now: Duration, stocks: &mut impl Stocks) -> Sent {
        let (mut limits, mut reports) = (Vec::new(), Vec::new());
        stocks.each(&mut |name, group, stock| {
            let report = stock.report(now);
            limits.push(Line {
                name: Arc::clone(name),
                counted: stock.counted(),
                limit: stock.limit(),
                group,
                over: report.over,
                settled: report.settled,
                // Rounded up: it counts no shorter than it must.
                settled_at: micros(report.settled_at.saturating_sub(self.origin) + Duration::from_nanos(999)),
                // And rounded down: it is found no later than it was entered.
                corrections: self.corrections(&report),
                returned: report.returned,
                want: report.want,
                chunk: report.chunk,
            });
            reports.push(report);
        });
        // As many clocks run by as much as this one: nobody's wall clock is asked.
        let others =
            self.clocks.iter().map(|(id, (clock, heard))| (id.clone(), clock + micros(now.saturating_sub(*heard))));
        let round = Round {
            member: self.id.clone(),
            joins: !self.joined,
            clock: micros(now.saturating_sub(self.origin)),
            others: others.collect(),
            limits,
        };
        Sent { round, at: now, reports }
    }

    /// Of what arrived since it joined.
    fn corrections(&self, report: &Report) -> Vec<(u64, u64)> {
        let since = |(at, fewer): &(Duration, u64)| Some((micros(at.checked_sub(self.origin)?), *fewer));
        report.corrections.iter().filter_map(since).collect()
    }

    /// What the ledger answered.
    pub(crate) fn hear(&mut self, now: Duration, sent: &Sent, answer: Answer, stocks: &mut impl Stocks) -> Outcome {
        let (clocks, said) = match answer {
            Answer::Taken { clocks, limits } => (clocks, limits),
            Answer::Stale => return Outcome::Stale,
            Answer::Unknown | Answer::Dead => return Outcome::Rejoins,
        };
        self.joined = true;
        self.clocks = clocks.into_iter().map(|(id, clock)| (id, (clock, now))).collect();
        let lines = sent.round.limits.iter().zip(&sent.reports).zip(&said);
        let by_name: BTreeMap<_, _> = lines.map(|((line, report), said)| (&line.name, (report, said))).collect();
        stocks.each(&mut |name, _, stock| {
            if let Some((report, said)) = by_name.get(name) {
                stock.granted(now, sent.at, report, &granted(said));
            }
        });
        Outcome::Shared
    }
}

fn granted(said: &Said) -> Granted {
    let after = |micros: u64| (micros > 0).then(|| Duration::from_micros(micros));
    Granted {
        granted: said.granted,
        free: said.free,
        used: said.used,
        next: after(said.next),
        last: after(said.last),
        others: said.others,
        let_go: said.let_go,
    }
}

/// From 1 on: a clock that stands at nothing has not begun.
fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX >> 12)
}
