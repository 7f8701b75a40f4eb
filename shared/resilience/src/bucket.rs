//! A token bucket in exact integers: no drift, however often it is asked.

use std::time::Duration;

/// Tokens that refill continuously up to a capacity.
///
/// In any window of one period up to `capacity + refill` tokens pass: a full bucket and a period's refill. Where a limit
/// must hold in *every* sliding window, build it by [`TokenBucket::within`], or use [`crate::SlidingLog`].
///
/// A token is kept as `period` nanoseconds' worth of parts, so that each nanosecond refills `refill` parts exactly.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    capacity: u64,
    refill: u64,
    period_ns: u128,
    /// Negative while more was charged than there was.
    parts: i128,
    updated: Duration,
}

/// Why tokens were not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not yet: there are enough after this long, if nobody else takes them.
    Wait(Duration),
    /// Never: more was asked for than there can ever be at once.
    TooLarge,
}

impl TokenBucket {
    /// A full bucket of `capacity` tokens, to which `refill` tokens are added per `period`. Zeroes count as one.
    pub fn new(capacity: u64, refill: u64, period: Duration) -> Self {
        let period_ns = period.as_nanos().max(1);
        let capacity = capacity.max(1);
        Self { capacity, refill: refill.max(1), period_ns, parts: whole(capacity, period_ns), updated: Duration::ZERO }
    }

    /// A bucket by which at most `limit` tokens pass in every sliding `window`: the burst is taken off the refill.
    /// A limit of one token cannot be divided: `None`, use [`crate::SlidingLog`]; the burst must be below the limit.
    pub fn within(limit: u64, window: Duration, burst: u64) -> Option<Self> {
        let refill = limit.checked_sub(burst.max(1)).filter(|refill| *refill > 0)?;
        Some(Self::new(burst, refill, window))
    }

    /// Takes tokens, all or none.
    pub fn try_take(&mut self, now: Duration, tokens: u64) -> Result<(), Refusal> {
        if tokens > self.capacity {
            return Err(Refusal::TooLarge);
        }
        self.advance(now);
        let wanted = whole(tokens, self.period_ns);
        if self.parts >= wanted {
            self.parts -= wanted;
            return Ok(());
        }
        let missing = (wanted - self.parts).unsigned_abs();
        Err(Refusal::Wait(duration(missing.div_ceil(u128::from(self.refill)))))
    }

    /// Charges tokens that are spent already, even below zero: what was taken turned out to be too little.
    pub fn charge(&mut self, now: Duration, tokens: u64) {
        self.advance(now);
        self.parts = self.parts.saturating_sub(whole(tokens, self.period_ns));
    }

    /// Puts tokens back that were taken and not used.
    pub fn give_back(&mut self, now: Duration, tokens: u64) {
        self.advance(now);
        let full = whole(self.capacity, self.period_ns);
        self.parts = self.parts.saturating_add(whole(tokens, self.period_ns)).min(full);
    }

    /// Whole tokens there are now.
    pub fn available(&mut self, now: Duration) -> u64 {
        self.advance(now);
        u64::try_from(self.parts.max(0).unsigned_abs() / self.period_ns).unwrap_or(u64::MAX)
    }

    fn advance(&mut self, now: Duration) {
        let Some(passed) = now.checked_sub(self.updated) else {
            return;
        };
        self.updated = now;
        let full = whole(self.capacity, self.period_ns);
        let fresh = passed.as_nanos().saturating_mul(u128::from(self.refill));
        let fresh = i128::try_from(fresh).unwrap_or(i128::MAX);
        self.parts = self.parts.saturating_add(fresh).min(full);
    }
}

fn whole(tokens: u64, period_ns: u128) -> i128 {
    i128::try_from(u128::from(tokens).saturating_mul(period_ns)).unwrap_or(i128::MAX)
}

pub(crate) fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_wait_it_names_is_enough_and_not_more() {
        let mut bucket = TokenBucket::new(2, 3, at(1000));
        bucket.try_take(at(0), 2).expect("full at first");
        let Err(Refusal::Wait(wait)) = bucket.try_take(at(0), 1) else {
            panic!("it was empty");
        };
        let early = wait - Duration::from_nanos(1);
        assert!(bucket.try_take(early, 1).is_err());
        bucket.try_take(wait, 1).expect("after the wait there is one");
    }

    #[test]
    fn more_than_fits_is_never_given() {
        let mut bucket = TokenBucket::new(2, 3, at(1000));
        assert_eq!(bucket.try_take(at(0), 3), Err(Refusal::TooLarge));
    }

    #[test]
    fn a_charge_below_zero_is_paid_by_the_refill() {
        let mut bucket = TokenBucket::new(10, 10, at(1000));
        bucket.charge(at(0), 15);
        assert_eq!(bucket.available(at(500)), 0);
        assert_eq!(bucket.available(at(700)), 2);
    }

    #[test]
    fn a_clock_that_runs_backwards_refills_nothing() {
        let mut bucket = TokenBucket::new(1, 1, at(1000));
        bucket.try_take(at(5000), 1).expect("full at first");
        assert!(bucket.try_take(at(1000), 1).is_err());
        bucket.try_take(at(6000), 1).expect("one period after it was taken");
    }

    #[test]
    fn a_limit_of_one_cannot_be_split_into_burst_and_refill() {
        assert!(TokenBucket::within(1, at(1000), 1).is_none());
        assert!(TokenBucket::within(10, at(1000), 10).is_none());
        assert!(TokenBucket::within(10, at(1000), 4).is_some());
    }
}
