//! Counts that can be added and taken away, and their sums with what must be known of them.

use std::ops::{Add, Neg, Sub};

use super::super::time::Moment;
use super::rate::Rate;

/// What waits and runs, or by how much it changes. Below nothing, where a store is shared, is what another process has
/// accepted and this one has leased since the last look at the store's counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    queued: i64,
    bytes: i64,
    leased: i64,
}

impl Tally {
    pub(super) const RUNNING: Self = Self { queued: 0, bytes: 0, leased: 1 };

    pub(super) fn waiting(bytes: usize) -> Self {
        Self { queued: 1, bytes: bytes as i64, leased: 0 }
    }

    pub(super) fn counted(queued: u64, bytes: u64, leased: u64) -> Self {
        Self { queued: queued as i64, bytes: bytes as i64, leased: leased as i64 }
    }

    pub(super) fn queued(self) -> u64 {
        self.queued.max(0) as u64
    }

    pub(super) fn bytes(self) -> u64 {
        self.bytes.max(0) as u64
    }

    pub(super) fn leased(self) -> u64 {
        self.leased.max(0) as u64
    }

    pub(super) fn waits(self) -> bool {
        self.queued > 0
    }

    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { queued: self.queued + other.queued, bytes: self.bytes + other.bytes, leased: self.leased + other.leased }
    }
}

impl Neg for Tally {
    type Output = Self;

    fn neg(self) -> Self {
        Self { queued: -self.queued, bytes: -self.bytes, leased: -self.leased }
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

/// One tenant's work of one agent type.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) tally: Tally,
    /// As a store last told.
    pub(super) oldest: Option<Moment>,
}

/// A sum of lines, and how quickly it drains.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) tally: Tally,
    /// The weights of the tenants that have something waiting in it.
    pub(super) weight: u64,
    /// Ends in a second during which something waited: what leaves an empty queue shows how much comes, not how much
    /// could be done. Its clock stands still while nothing waits.
    drain: Rate,
    busy: u64,
    at: Moment,
}

impl Scope {
    pub(super) fn new(now: Moment) -> Self {
        Self { tally: Tally::default(), weight: 0, drain: Rate::new(Moment(0)), busy: 0, at: now }
    }

    /// One has ended.
    pub(super) fn left(&mut self, now: Moment) {
        if self.tally.waits() {
            let busy = self.clock(now);
            self.drain.add(1, busy);
        }
    }

    /// Something changes that belongs to a tenant of this weight, of which something waited here before, or does now.
    pub(super) fn change(&mut self, change: Tally, waited: bool, waits: bool, weight: u32, now: Moment) {
        self.busy = self.clock(now).0;
        self.at = now;
        self.tally = self.tally + change;
        match (waited, waits) {
            (false, true) => self.weight += u64::from(weight),
            (true, false) => self.weight -= u64::from(weight),
            _ => {}
        }
    }

    pub(super) fn per_second(&self, now: Moment) -> f64 {
        self.drain.per_second(self.clock(now))
    }

    /// Whether something of it ended lately, of 1.
    pub(super) fn drains(&self, now: Moment) -> f64 {
        self.drain.lately(self.clock(now)).min(1.0)
    }

    /// How far [`per_second`](Self::per_second) is known, of 1: something ended, or would have by now.
    pub(super) fn is_known(&self, now: Moment) -> f64 {
        self.drains(now).max(self.drain.seen(self.clock(now)))
    }

    /// For how long something has waited in it.
    pub(super) fn busy(&self, now: Moment) -> std::time::Duration {
        std::time::Duration::from_micros(self.clock(now).0)
    }

    fn clock(&self, now: Moment) -> Moment {
        Moment(self.busy).after(if self.tally.waits() { now.since(self.at) } else { std::time::Duration::ZERO })
    }
}
