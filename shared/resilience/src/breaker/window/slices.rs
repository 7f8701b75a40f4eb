//! The calls of a sliding span of time.

use std::time::Duration;

use super::{Counts, Ended};

/// The span is kept in this many slices: the granularity at which it slides.
const SLICES: u64 = 10;

#[derive(Debug, Clone)]
pub(in crate::breaker) struct Slices {
    slice_ns: u64,
    newest: u64,
    slices: Box<[Slice; SLICES as usize]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    number: u64,
    counts: Counts,
}

impl Slices {
    pub(super) fn new(length: Duration) -> Self {
        Self { slice_ns: (nanos(length) / SLICES).max(1), newest: 0, slices: Box::default() }
    }

    pub(super) fn record(&mut self, now: Duration, ended: Ended) {
        let number = self.advance(now);
        let slice = &mut self.slices[(number % SLICES) as usize];
        if slice.number != number {
            *slice = Slice { number, counts: Counts::default() };
        }
        slice.counts.add(ended.into());
    }

    pub(super) fn counts(&self, now: Duration) -> Counts {
        let newest = self.newest.max(nanos(now) / self.slice_ns);
        let mut total = Counts::default();
        for slice in self.slices.iter() {
            if slice.number + SLICES > newest {
                total.add(slice.counts);
            }
        }
        total
    }

    pub(super) fn clear(&mut self) {
        *self.slices = Default::default();
    }

    /// Time never runs backwards here: a late clock counts into the newest slice.
    fn advance(&mut self, now: Duration) -> u64 {
        self.newest = self.newest.max(nanos(now) / self.slice_ns);
        self.newest
    }
}

/// 584 years fit.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const GOOD: Ended = Ended { failed: false, slow: false };
    const FAILED: Ended = Ended { failed: true, slow: true };

    #[test]
    fn old_calls_are_forgotten_slice_by_slice() {
        let mut window = Slices::new(at(1000));
        window.record(at(50), FAILED);
        window.record(at(150), GOOD);
        assert_eq!(window.counts(at(999)), Counts { calls: 2, failures: 1, slow: 1 });
        assert_eq!(window.counts(at(1000)), Counts { calls: 1, failures: 0, slow: 0 });
        assert_eq!(window.counts(at(1100)), Counts::default());
    }

    #[test]
    fn a_slice_is_reused_only_after_its_time() {
        let mut window = Slices::new(at(1000));
        window.record(at(50), FAILED);
        window.record(at(1050), GOOD);
        assert_eq!(window.counts(at(1050)), Counts { calls: 1, failures: 0, slow: 0 });
    }
}
