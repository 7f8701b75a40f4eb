//! What one tenant has waiting in one lane, in order, with sums: how much stands before a place costs no walk past
//! everybody who does.

use std::ops::{AddAssign, SubAssign};

use super::{Ticket, Waiter, Want};
use crate::domain::pool::Need;

/// The most waiters of one chunk.
const CHUNK: usize = 64;

/// What calls need together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    pub(crate) calls: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// Waiters in their order: a list of short lists, so that neither end nor middle costs more than the root of its length.
#[derive(Debug, Default)]
pub(super) struct Queue {
    chunks: Vec<Chunk>,
    load: Load,
}

/// Never empty.
#[derive(Debug)]
struct Chunk {
    waiters: Vec<Waiter>,
    load: Load,
}

impl Queue {
    pub(super) fn load(&self) -> Load {
        self.load
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Waiter> {
        self.chunks.first()?.waiters.first()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.chunks.iter().flat_map(|chunk| &chunk.waiters)
    }

    pub(super) fn insert(&mut self, waiter: Waiter) {
        let load = Load::of(&waiter.want);
        self.load += load;
        let index = self.chunk_of(&waiter.ticket).min(self.chunks.len().saturating_sub(1));
        let Some(chunk) = self.chunks.get_mut(index) else {
            self.chunks.push(Chunk { waiters: vec![waiter], load });
            return;
        };
        let place = chunk.waiters.partition_point(|before| before.ticket < waiter.ticket);
        if chunk.waiters.len() < CHUNK {
            chunk.waiters.insert(place, waiter);
            chunk.load += load;
            return;
        }
        // Most come last: those fill a list of their own rather than halve the one before.
        let mut next = Chunk::of(chunk.waiters.split_off(if place == CHUNK { CHUNK } else { CHUNK / 2 }));
        chunk.load = chunk.waiters.iter().map(|waiter| Load::of(&waiter.want)).sum();
        let half = if place > chunk.waiters.len() || next.waiters.is_empty() { &mut next } else { chunk };
        let place = half.waiters.partition_point(|before| before.ticket < waiter.ticket);
        half.waiters.insert(place, waiter);
        half.load += load;
        self.chunks.insert(index + 1, next);
    }

    pub(super) fn remove(&mut self, ticket: &Ticket) -> Option<Waiter> {
        let index = self.chunk_of(ticket);
        let chunk = self.chunks.get_mut(index)?;
        let place = chunk.waiters.binary_search_by_key(ticket, |waiter| waiter.ticket).ok()?;
        let waiter = chunk.waiters.remove(place);
        let load = Load::of(&waiter.want);
        chunk.load -= load;
        self.load -= load;
        if chunk.waiters.is_empty() {
            self.chunks.remove(index);
        }
        Some(waiter)
    }

    /// What stands before this place.
    pub(super) fn ahead_of(&self, ticket: &Ticket) -> Load {
        let index = self.chunk_of(ticket);
        let mut load: Load = self.chunks[..index].iter().map(|chunk| chunk.load).sum();
        if let Some(chunk) = self.chunks.get(index) {
            let place = chunk.waiters.partition_point(|before| before.ticket < *ticket);
            load += chunk.waiters[..place].iter().map(|waiter| Load::of(&waiter.want)).sum();
        }
        load
    }

    /// The first chunk whose last waiter does not stand before this place.
    fn chunk_of(&self, ticket: &Ticket) -> usize {
        self.chunks.partition_point(|chunk| chunk.waiters.last().is_some_and(|last| last.ticket < *ticket))
    }
}

impl Chunk {
    fn of(waiters: Vec<Waiter>) -> Self {
        let load = waiters.iter().map(|waiter| Load::of(&waiter.want)).sum();
        Self { waiters, load }
    }
}

impl Load {
    pub(crate) fn of(want: &Want) -> Self {
        let Need { input, output } = want.counted();
        Self { calls: 1, input, output }
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// So many parts of it, of so many: rounded to the nearest.
    pub(super) fn part(self, parts: u64, of: u64) -> Self {
        let of = u128::from(of.max(1));
        let part = |all: u64| ((u128::from(all) * u128::from(parts) + of / 2) / of).min(u64::MAX.into()) as u64;
        Self { calls: part(self.calls), input: part(self.input), output: part(self.output) }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.input = self.input.saturating_sub(other.input);
        self.output = self.output.saturating_sub(other.output);
    }
}

impl std::iter::Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        loads.fold(Self::default(), |mut sum, load| {
            sum += load;
            sum
        })
    }
}
