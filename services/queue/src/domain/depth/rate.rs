//! A measured rate.

use std::time::Duration;

use super::super::time::Moment;

/// How quickly the measured rate follows the real one.
const HALF_LIFE: Duration = Duration::from_secs(5);
/// A rate is not told of less time than this: one event at once is no infinite rate.
const LEAST_AGE: Duration = Duration::from_secs(1);

/// How many events there are in a second: an exponentially decaying count, over the weight that a steady stream would have
/// had since the measuring began. So it is right from the start, without climbing for minutes.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    count: f64,
    at: Moment,
    begun: Moment,
}

impl Rate {
    /// Nothing yet.
    #[must_use]
    pub const fn new(now: Moment) -> Self {
        Self { count: 0.0, at: now, begun: now }
    }

    /// So many just now.
    pub fn add(&mut self, count: u64, now: Moment) {
        self.count = self.count * decay(now.since(self.at)) + count as f64;
        self.at = now;
    }

    /// How many there were lately: each counts for less the longer it is ago.
    #[must_use]
    pub fn lately(&self, now: Moment) -> f64 {
        self.count * decay(now.since(self.at))
    }

    /// How much of a steady rate can have been seen since the measuring began, of 1.
    #[must_use]
    pub fn seen(&self, now: Moment) -> f64 {
        1.0 - decay(now.since(self.begun))
    }

    /// The rate now.
    #[must_use]
    pub fn per_second(&self, now: Moment) -> f64 {
        let measured = 1.0 - decay(now.since(self.begun).max(LEAST_AGE));
        let steady = HALF_LIFE.as_secs_f64() / std::f64::consts::LN_2;
        self.lately(now) / (measured * steady)
    }
}

fn decay(span: Duration) -> f64 {
    0.5_f64.powf(span.as_secs_f64() / HALF_LIFE.as_secs_f64())
}
