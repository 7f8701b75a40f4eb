//! The last so many calls, in a ring that is as large from the beginning as it ever becomes.

use super::{Counts, Ended};
use crate::breaker::settings::CALLS_MAX;

#[derive(Debug, Clone)]
pub(in crate::breaker) struct Last {
    ring: Box<[Ended]>,
    /// Where the next call goes; the oldest stands there once the ring is full.
    next: usize,
    counts: Counts,
}

impl Last {
    pub(super) fn new(calls: u32) -> Self {
        let ring = vec![Ended::default(); calls.clamp(1, CALLS_MAX) as usize];
        Self { ring: ring.into_boxed_slice(), next: 0, counts: Counts::default() }
    }

    pub(super) fn record(&mut self, ended: Ended) {
        let place = &mut self.ring[self.next];
        let oldest = std::mem::replace(place, ended);
        if self.counts.calls as usize == self.ring.len() {
            self.counts.take_off(oldest.into());
        }
        self.counts.add(ended.into());
        self.next = (self.next + 1) % self.ring.len();
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// What the ring still holds is not counted, and so never taken off.
    pub(super) fn clear(&mut self) {
        self.counts = Counts::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Ended = Ended { failed: false, slow: false };
    const FAILED: Ended = Ended { failed: true, slow: false };
    const SLOW: Ended = Ended { failed: false, slow: true };

    #[test]
    fn only_the_last_calls_count_and_the_memory_stays_as_it_was() {
        let mut last = Last::new(3);
        let size = last.ring.len();
        [FAILED, FAILED, SLOW].into_iter().for_each(|ended| last.record(ended));
        assert_eq!(last.counts(), Counts { calls: 3, failures: 2, slow: 1 });
        last.record(GOOD);
        assert_eq!(last.counts(), Counts { calls: 3, failures: 1, slow: 1 });
        (0..100_000).for_each(|_| last.record(GOOD));
        assert_eq!(last.counts(), Counts { calls: 3, failures: 0, slow: 0 });
        assert_eq!(last.ring.len(), size);
    }

    #[test]
    fn what_was_cleared_never_counts_again() {
        let mut last = Last::new(3);
        [FAILED, FAILED].into_iter().for_each(|ended| last.record(ended));
        last.clear();
        (1..=3).for_each(|calls| {
            last.record(GOOD);
            assert_eq!(last.counts(), Counts { calls, failures: 0, slow: 0 });
        });
        last.record(FAILED);
        assert_eq!(last.counts(), Counts { calls: 3, failures: 1, slow: 0 });
    }

    #[test]
    fn no_setting_makes_it_larger_than_the_limit() {
        assert_eq!(Last::new(u32::MAX).ring.len(), CALLS_MAX as usize);
    }
}
