use std::time::Duration;

use super::Hand;

/// What was used in this time is likely to be used again in as much.
const RECENT: Duration = Duration::from_millis(100);
/// Nobody needs what was not touched for so long.
const IDLE: Duration = Duration::from_millis(250);
/// No more is held ahead than this part of the limit,
const AHEAD_PART: u64 = 100;
/// or so many calls.
const AHEAD_CALLS: u64 = 2;

/// What a process needs of a limit, and when it is worth asking for it.
#[derive(Debug)]
pub(super) struct Demand {
    /// The most to hold ahead, by the limit.
    ahead: u64,
    /// What those in line need,
    all: u64,
    /// and the first of them.
    first: u64,
    /// What one call took lately.
    size: u64,
    /// Used since `since`, and in the time before.
    used: u64,
    used_before: u64,
    since: Duration,
    touched: Duration,
    /// What was asked for last in vain, and when it is worth asking again.
    asked: u64,
    ask_at: Option<Duration>,
}

impl Demand {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            ahead: limit / AHEAD_PART,
            all: 0,
            first: 0,
            size: 1,
            used: 0,
            used_before: 0,
            since: Duration::ZERO,
            touched: Duration::ZERO,
            asked: 0,
            ask_at: None,
        }
    }

    pub(super) fn set(&mut self, limit: u64) {
        self.ahead = limit / AHEAD_PART;
    }

    pub(super) fn line(&mut self, now: Duration, all: u64, first: u64) {
        if self.all == 0 && all > 0 {
            self.touched = now;
        }
        (self.all, self.first) = (all, first);
    }

    pub(super) fn used(&mut self, now: Duration, units: u64) {
        self.turn(now);
        self.used = self.used.saturating_add(units);
        self.size = units.max(1);
        self.touched = now;
    }

    /// Something was granted: it does not idle yet.
    pub(super) fn touch(&mut self, now: Duration) {
        self.touched = now;
    }

    /// What would be welcome beyond what is free, and how much of that the first in line lacks.
    pub(super) fn wish(&self, now: Duration, hand: &Hand, contended: bool) -> (u64, u64) {
        let first = self.first.saturating_sub(hand.free());
        (self.keep(now, contended).saturating_sub(hand.free()).max(first), first)
    }

    /// What is free and nobody here needs.
    pub(super) fn surplus(&self, now: Duration, hand: &Hand, contended: bool) -> u64 {
        let idle = now.saturating_sub(self.touched) > IDLE;
        match (contended, idle) {
            // Somebody here waits for it, and for something else as well, which others may hold for want of this.
            (true, true) => hand.free(),
            (false, false) => 0,
            _ => hand.free().saturating_sub(self.keep(now, contended)),
        }
    }

    /// When it is worth asking.
    pub(super) fn due(&self, now: Duration, hand: &Hand) -> Option<Duration> {
        let free = hand.free();
        if self.all > free {
            let (want, _) = self.wish(now, hand, true);
            return if want > self.asked { Some(now) } else { self.ask_at };
        }
        // Nobody waits: well before it runs out.
        let low = free < self.recent(now).min(self.most()) / 2;
        if low && self.asked == 0 { Some(now) } else { None }
    }

    /// What was asked for was answered; the next is free after `next`.
    pub(super) fn answered(&mut self, now: Duration, wanted: u64, hand: &Hand, next: Option<Duration>) {
        let (want, _) = self.wish(now, hand, true);
        self.asked = if want == 0 { 0 } else { wanted.max(want) };
        self.ask_at = next.map(|next| now + next);
    }

    /// What was answered last says nothing any more.
    pub(super) fn forget(&mut self) {
        self.asked = 0;
        self.ask_at = None;
    }

    /// What to have free: for those in line and those who are likely to come, within bounds.
    fn keep(&self, now: Duration, contended: bool) -> u64 {
        let likely = if contended { self.recent(now) } else { self.recent(now).max(AHEAD_CALLS * self.size) };
        self.all.saturating_add(likely).min(self.most())
    }

    fn most(&self) -> u64 {
        self.ahead.max(AHEAD_CALLS.saturating_mul(self.size.max(self.first)))
    }

    fn recent(&self, now: Duration) -> u64 {
        match now.saturating_sub(self.since) {
            passed if passed < RECENT => self.used.max(self.used_before),
            passed if passed < 2 * RECENT => self.used,
            _ => 0,
        }
    }

    fn turn(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.since);
        if passed >= RECENT {
            self.used_before = if passed < 2 * RECENT { self.used } else { 0 };
            (self.used, self.since) = (0, now);
        }
    }
}
