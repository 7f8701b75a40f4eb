//! A limit that several processes share: a meter whose units come in small grants from a ledger that all of them ask.
//!
//! ```text
//!            granted            reserve             arrive
//!  ledger ───────────► in hand ─────────► reserved ─────────► settled ──► ledger: free again one window later
//!            returned     ▲                  │
//!  ledger ◄───────────────┴──────────────────┘ release
//! ```
//!
//! Invariants:
//! - What is in hand was granted to this process alone, and is used only while its lease lasts.
//! - Without a lease nothing is used but this process's share of a reserve that the ledger never grants. That may be used
//!   beside what is in hand as soon as the ledger does not answer: it is nobody else's.
//! - What is told to the ledger are totals since this process joined, so that an answer that is lost, or comes twice, does no harm.
//! - No more is held ahead than a small part of the limit, and nothing that idles while others want it.

mod demand;
mod hand;
mod outlook;

use std::time::Duration;

use holdfast_resilience::SlidingLog;

use self::{demand::Demand, hand::Hand};

/// How long what was granted may be used, counted from before it was asked for.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
/// What has arrived is told after so long at the latest; a shorter window wants it sooner.
const TELL_MAX: Duration = Duration::from_millis(50);
const TELL_MIN: Duration = Duration::from_millis(5);
/// Corrections that wait to be told; what finds no room counts for its window.
const CORRECTIONS_MAX: usize = 64;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// What arrives within this time.
    Window(Duration),
    /// What is there at once.
    Places,
}

impl Counted {
    fn window(self) -> Duration {
        match self {
            Self::Window(window) => window,
            Self::Places => Duration::ZERO,
        }
    }
}

/// What the ledger is told, as totals since this process joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Report {
    /// Used or held without a grant.
    pub(crate) over: u64,
    /// Arrived at the provider.
    pub(crate) settled: u64,
    /// When the latest of it did.
    pub(crate) settled_at: Duration,
    /// Given back unused.
    pub(crate) returned: u64,
    /// What would be welcome now,
    pub(crate) want: u64,
    /// and how much of it the first in line lacks: less is of no use to it.
    pub(crate) chunk: u64,
    /// When less arrived than was told, and how much less. Told once: lost, it counts for its window.
    pub(crate) corrections: Vec<(Duration, u64)>,
}

/// What the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Granted {
    /// All that it ever granted to this process since it joined.
    pub(crate) granted: u64,
    /// What nobody has.
    pub(crate) free: u64,
    /// What has arrived and is not free again.
    pub(crate) used: u64,
    /// After how long there is enough for one more like the first in line,
    pub(crate) next: Option<Duration>,
    /// and when all of it is free.
    pub(crate) last: Option<Duration>,
    /// How many others want some.
    pub(crate) others: u64,
    /// How much should be given back as it comes free: others have less than their share, and this process more.
    pub(crate) let_go: u64,
}

#[derive(Debug)]
pub(crate) struct Stock {
    counted: Counted,
    limit: u64,
    now: Duration,
    hand: Hand,
    corrections: Vec<(Duration, u64)>,
    /// Since when there is something to tell.
    untold_since: Option<Duration>,
    lease_until: Duration,
    /// The ledger did not answer when it was asked last.
    cut_off: bool,
    /// This process's share of what the ledger never grants: all that there is without a lease.
    alone: SlidingLog,
    demand: Demand,
    news: Granted,
    news_at: Duration,
}

impl Stock {
    /// `limit` is what all processes may use of it together; `share` is this one's part of the reserve beside that.
    pub(crate) fn new(counted: Counted, limit: u64, share: u64) -> Self {
        let window = counted.window();
        Self {
            counted,
            limit,
            now: Duration::ZERO,
            hand: Hand::default(),
            corrections: Vec::new(),
            untold_since: None,
            lease_until: Duration::ZERO,
            cut_off: false,
            alone: SlidingLog::new(share, window),
            demand: Demand::new(limit),
            news: Granted::default(),
            news_at: Duration::ZERO,
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        self.counted
    }

    /// What all processes may use together while they can ask the ledger.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether what is in hand may be used.
    pub(crate) fn is_leased(&self, now: Duration) -> bool {
        now < self.lease_until
    }

    /// When that ends.
    pub(crate) fn lease_until(&self) -> Duration {
        self.lease_until
    }

    /// Another limit from here on; what is used stays used.
    pub(crate) fn set(&mut self, counted: Counted, limit: u64, share: u64) {
        (self.counted, self.limit) = (counted, limit);
        self.alone.set(share, counted.window());
        self.demand.set(limit);
    }

    /// Units that could be reserved now.
    pub(crate) fn available(&mut self, now: Duration) -> u64 {
        self.now = self.now.max(now);
        let hand = self.leased(self.now);
        if self.is_alone(self.now) { hand.max(self.alone.available(self.now)) } else { hand }
    }

    /// Reserves units, whether they are available or not: who asks has looked. Followed by [`Self::arrive`] or
    /// [`Self::release`].
    pub(crate) fn reserve(&mut self, now: Duration, units: u64) {
        self.now = self.now.max(now);
        let by_hand = self.is_leased(self.now)
            && (!self.cut_off || units <= self.hand.free() || units > self.alone.available(self.now));
        if by_hand {
            self.hand.lacks(units);
            self.hand.reserved = self.hand.reserved.saturating_add(units);
            self.demand.used(self.now, units);
        } else {
            self.alone.overdraw(units);
        }
    }

    /// Reserved units have certainly arrived by now. Whose they were does not matter: each counts once, from its own time.
    pub(crate) fn arrive(&mut self, now: Duration, units: u64) {
        self.now = self.now.max(now);
        if self.counted == Counted::Places {
            return self.release(now, units);
        }
        let alone = units.min(self.alone.reserved());
        let settled = (units - alone).min(self.hand.reserved);
        self.alone.arrive(now, alone);
        self.hand.reserved -= settled;
        self.settle(now, settled);
    }

    /// Reserved units that certainly never left.
    pub(crate) fn release(&mut self, now: Duration, units: u64) {
        self.now = self.now.max(now);
        let alone = units.min(self.alone.reserved());
        self.alone.release(alone);
        self.hand.reserved = self.hand.reserved.saturating_sub(units - alone);
        self.let_go(self.now);
    }

    /// Units used beyond what was reserved: they count from now, past the limit even.
    pub(crate) fn charge(&mut self, now: Duration, units: u64) {
        if self.is_leased(now) {
            self.hand.lacks(units);
            self.settle(now, units);
        } else {
            self.alone.charge(now, units);
        }
    }

    /// Fewer units arrived at that time than were reserved.
    pub(crate) fn correct(&mut self, arrived: Duration, fewer: u64) {
        let freed_at = arrived + self.counted.window() + Duration::from_nanos(1);
        let alone = self.alone.frees().find(|(at, _)| *at == freed_at).map_or(0, |(_, units)| units).min(fewer);
        self.alone.correct(arrived, alone);
        let fewer = fewer - alone;
        if fewer > 0 && self.untold_since.is_some_and(|since| arrived >= since) {
            self.hand.settled -= fewer.min(self.hand.settled.saturating_sub(self.hand.settled_told));
        } else if fewer > 0 && self.corrections.len() < CORRECTIONS_MAX {
            self.corrections.push((arrived, fewer));
            self.untold_since.get_or_insert(self.now);
        }
    }

    /// Units that are reserved and have not arrived.
    pub(crate) fn reserved(&self) -> u64 {
        self.hand.reserved.saturating_add(self.alone.reserved())
    }

    /// What those in line need of it, and what the first of them needs.
    pub(crate) fn demanded(&mut self, now: Duration, all: u64, first: u64) {
        self.demand.line(now, all, first);
    }

    /// When there is something to ask or to tell; `None` while there is not.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        let told = self.untold_since.map(|since| since + self.patience());
        let idle =
            (self.demand.surplus(now, &self.hand, self.is_contended()) > 0 && self.is_contended()).then_some(now);
        [self.demand.due(now, &self.hand), told, idle].into_iter().flatten().min()
    }

    /// What is to be told now.
    pub(crate) fn report(&mut self, now: Duration) -> Report {
        self.let_go(now);
        let contended = self.is_contended();
        if self.is_leased(now) {
            self.hand.returned += self.demand.surplus(now, &self.hand, contended);
        }
        let (want, chunk) = self.demand.wish(now, &self.hand, contended);
        self.untold_since = None;
        Report { corrections: std::mem::take(&mut self.corrections), ..self.hand.report(want, chunk) }
    }

    /// The ledger has answered what it was told at `sent`.
    pub(crate) fn granted(&mut self, now: Duration, sent: Duration, told: &Report, news: &Granted) {
        if self.hand.told(told, news.granted) {
            self.demand.touch(now);
        }
        (self.news, self.news_at) = (*news, now);
        self.lease_until = self.lease_until.max(sent + LEASE);
        self.cut_off = false;
        // Where there is enough of it, something else is short. What is free bit by bit is asked for by the handful.
        let short = told.chunk > news.free || told.chunk == 0;
        let next = news.next.filter(|_| short).map(|next| next.max(self.patience()));
        self.demand.answered(now, told.want, &self.hand, next);
        self.let_go(now);
    }

    /// The ledger does not answer, or not soon: nobody has to wait until the lease has run out for what it never grants.
    pub(crate) fn cut_off(&mut self) {
        self.cut_off = true;
    }

    /// The ledger does not know this process, or has taken it for dead: what was in hand is gone, and it joins anew with what
    /// is still reserved.
    pub(crate) fn rejoin(&mut self, now: Duration) {
        self.hand = self.hand.rejoin(now);
        self.corrections.clear();
        self.news = Granted::default();
        self.lease_until = Duration::ZERO;
        self.demand.forget();
    }

    /// This process is about to end: it uses nothing more, and gives back what is free.
    pub(crate) fn withdraw(&mut self) {
        self.hand.returned += self.hand.free();
        self.lease_until = Duration::ZERO;
    }

    /// Somebody says that it is worth asking again.
    pub(crate) fn called(&mut self) {
        self.demand.forget();
    }

    /// What is in hand, while it may be used.
    fn leased(&self, now: Duration) -> u64 {
        if self.is_leased(now) { self.hand.free() } else { 0 }
    }

    /// Whether this process's share of the reserve may be used.
    fn is_alone(&self, now: Duration) -> bool {
        self.cut_off || !self.is_leased(now)
    }

    fn is_contended(&self) -> bool {
        self.news.others > 0
    }

    fn settle(&mut self, now: Duration, units: u64) {
        if units > 0 {
            self.hand.settled = self.hand.settled.saturating_add(units);
            self.hand.settled_at = self.hand.settled_at.max(now);
            self.untold_since.get_or_insert(now);
        }
    }

    /// Gives back what is free of that which others should have.
    fn let_go(&mut self, now: Duration) {
        let units = self.hand.free().min(self.news.let_go);
        if units > 0 && self.is_leased(now) {
            self.hand.returned += units;
            self.news.let_go -= units;
            self.untold_since = Some(Duration::ZERO);
        }
    }

    fn patience(&self) -> Duration {
        match self.counted {
            Counted::Window(window) => (window / 500).clamp(TELL_MIN, TELL_MAX),
            Counted::Places => TELL_MIN,
        }
    }
}

#[cfg(test)]
mod tests;
