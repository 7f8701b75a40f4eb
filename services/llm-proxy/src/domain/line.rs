//! Who waits, in what order. Bounded in calls and in bytes.

use std::{collections::BTreeMap, time::Duration};

use super::pool::{Ticket, Want};

/// A place in the order: the lower goes first. Today the order of arrival; a tenant's weight, a priority and a deadline
/// would stand before the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank(pub(crate) u64);

/// Somebody who waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) ticket: Ticket,
    pub(crate) want: Want,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) calls: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Line {
    bounds: Bounds,
    waiters: BTreeMap<Rank, Waiter>,
    bytes: usize,
    tokens: u64,
}

impl Line {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, waiters: BTreeMap::new(), bytes: 0, tokens: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Tokens that those in line will use.
    pub(crate) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(crate) fn has_room_for(&self, want: &Want) -> bool {
        self.waiters.len() < self.bounds.calls && self.bytes + want.bytes <= self.bounds.bytes
    }

    pub(crate) fn join(&mut self, rank: Rank, waiter: Waiter) {
        self.bytes += waiter.want.bytes;
        self.tokens += waiter.want.tokens;
        let before = self.waiters.insert(rank, waiter);
        debug_assert!(before.is_none(), "a rank is one call's");
    }

    pub(crate) fn first(&self) -> Option<(Rank, Waiter)> {
        self.waiters.first_key_value().map(|(rank, waiter)| (*rank, *waiter))
    }

    pub(crate) fn leave(&mut self, rank: Rank) -> Option<Waiter> {
        let waiter = self.waiters.remove(&rank)?;
        self.bytes -= waiter.want.bytes;
        self.tokens -= waiter.want.tokens;
        Some(waiter)
    }

    /// Takes out everybody whose deadline is before this time.
    pub(crate) fn hopeless(&mut self, start: Duration) -> Vec<Waiter> {
        let late = |waiter: &Waiter| waiter.want.deadline.is_some_and(|deadline| deadline < start);
        let ranks: Vec<_> = self.waiters.iter().filter(|(_, waiter)| late(waiter)).map(|(rank, _)| *rank).collect();
        ranks.into_iter().filter_map(|rank| self.leave(rank)).collect()
    }
}
