//! Delays between attempts: exponential, with full jitter.
//!
//! "Full jitter" draws each delay evenly between nothing and the exponential bound. Marc Brooker compares the ways in
//! *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): of those with few calls in all, it has
//! the least work for the contended side, because the callers spread out instead of returning together.

use std::time::Duration;

use rand::{Rng, RngExt};

/// How the bound on the delay grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The bound of the first delay.
    pub initial: Duration,
    /// The bound of every delay.
    pub max: Duration,
    /// Factor between one bound and the next.
    pub multiplier: f64,
}

impl Backoff {
    /// Doubling from `initial` to `max`.
    pub const fn doubling(initial: Duration, max: Duration) -> Self {
        Self { initial, max, multiplier: 2.0 }
    }

    /// The longest delay after this many failed attempts, counted from 1.
    pub fn bound(&self, failed: u32) -> Duration {
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.multiplier.max(1.0).powi(exponent);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }

    /// The delay after this many failed attempts, counted from 1.
    pub fn delay(&self, failed: u32, rng: &mut impl Rng) -> Duration {
        let bound = u64::try_from(self.bound(failed).as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.random_range(0..=bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(2));

    #[test]
    fn bounds_double_up_to_the_limit() {
        let bounds: Vec<u128> = (1..=7).map(|failed| BACKOFF.bound(failed).as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(BACKOFF.bound(u32::MAX), BACKOFF.max);
    }

    #[test]
    fn delays_spread_from_nothing_to_the_bound() {
        let mut rng = rand::rng();
        let delays: Vec<Duration> = (0..1000).map(|_| BACKOFF.delay(2, &mut rng)).collect();
        assert!(delays.iter().all(|delay| *delay <= BACKOFF.bound(2)));
        assert!(delays.iter().any(|delay| *delay < BACKOFF.bound(2) / 4));
        assert!(delays.iter().any(|delay| *delay > BACKOFF.bound(2) / 4 * 3));
    }
}
