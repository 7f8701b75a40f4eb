//! How deep the queue may get, and when a refused caller shall come back.

use std::time::Duration;

use super::time::Moment;

/// The shortest hint: less would only bring the caller back too early.
const SOONEST: Duration = Duration::from_millis(100);
/// The longest hint, also where nothing has drained yet.
const LATEST: Duration = Duration::from_secs(60);
/// How quickly the measured rate follows the real one.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// What may wait at most.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Invocations.
    pub items: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl Limit {
    /// How far beyond the limit the queue would be, as a number of items; none when there is room. An excess of bytes
    /// counts as the items that hold as much on average.
    #[must_use]
    pub fn excess(&self, items: u64, bytes: u64) -> Option<u64> {
        let by_items = items.saturating_sub(self.items);
        let by_bytes = match bytes.saturating_sub(self.bytes) {
            0 => 0,
            over => over.div_ceil((bytes / items.max(1)).max(1)),
        };
        Some(by_items.max(by_bytes)).filter(|excess| *excess > 0)
    }
}

/// How many invocations leave the queue, in a second.
#[derive(Debug, Clone, Copy)]
pub struct DrainRate {
    per_second: f64,
    at: Moment,
}

impl DrainRate {
    /// Nothing has left yet.
    #[must_use]
    pub const fn new(now: Moment) -> Self {
        Self { per_second: 0.0, at: now }
    }

    /// So many have left just now.
    pub fn left(&mut self, count: u64, now: Moment) {
        // An exponentially decaying sum, scaled so that a steady stream shows its rate.
        let decay = std::f64::consts::LN_2 / HALF_LIFE.as_secs_f64();
        self.per_second = self.rate(now) + count as f64 * decay;
        self.at = now;
    }

    /// The rate now.
    #[must_use]
    pub fn rate(&self, now: Moment) -> f64 {
        let half_lives = now.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.per_second * 0.5_f64.powf(half_lives)
    }

    /// How long until so many have left. `jitter`, from 0 to 1, spreads the callers over the next half of that time, so
    /// that they do not return together.
    #[must_use]
    pub fn time_for(&self, count: u64, jitter: f64, now: Moment) -> Duration {
        let seconds = count as f64 / self.rate(now).max(1e-9);
        let base = Duration::try_from_secs_f64(seconds).unwrap_or(LATEST).clamp(SOONEST, LATEST);
        base.mul_f64(1.0 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { items: 10, bytes: 1_000 };

    #[test]
    fn a_limit_counts_items_and_bytes() {
        assert_eq!(LIMIT.excess(10, 1_000), None);
        assert_eq!(LIMIT.excess(12, 0), Some(2));
        assert_eq!(LIMIT.excess(6, 1_200), Some(1));
    }

    #[test]
    fn a_steady_drain_is_measured() {
        let mut rate = DrainRate::new(Moment(0));
        for tenth in 1..=600_u64 {
            rate.left(10, Moment(tenth * 100_000));
        }
        let now = Moment(60_000_000);
        assert!((rate.rate(now) - 100.0).abs() < 3.0, "{}", rate.rate(now));
        let hint = rate.time_for(200, 0.0, now).as_secs_f64();
        assert!((hint - 2.0).abs() < 0.1, "{hint}");
    }

    #[test]
    fn a_hint_is_bounded() {
        let rate = DrainRate::new(Moment(0));
        assert_eq!(rate.time_for(1, 0.0, Moment(0)), LATEST);
        let mut fast = rate;
        fast.left(1_000_000, Moment(0));
        assert_eq!(fast.time_for(1, 0.0, Moment(0)), SOONEST);
    }
}
