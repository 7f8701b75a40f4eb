//! How the simulated ends misbehave: what may happen to a call, and the dice that decide.

use std::time::Duration;

use holdfast_config::Span;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use crate::config::write_span;

/// What may go wrong with each call. A rate is a share of the calls, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Time before the first byte of every answer.
    #[serde(serialize_with = "write_span")]
    pub latency: Span,
    /// Time for each token that a model writes.
    #[serde(serialize_with = "write_span")]
    pub per_token: Span,
    /// How many calls take `slow_by` longer.
    pub slow_rate: f64,
    /// How much longer the slow ones take.
    #[serde(serialize_with = "write_span")]
    pub slow_by: Span,
    /// How many calls are answered with `error_status`.
    pub error_rate: f64,
    /// The status of an error, such as 500, 429 or 401.
    pub error_status: u16,
    /// The seconds of a `Retry-After` header on an error.
    pub error_retry_after: Option<u64>,
    /// How many calls are never answered.
    pub hang_rate: f64,
    /// How many answers break off.
    pub disconnect_rate: f64,
    /// After how many pieces of a stream they do; an answer that is whole breaks off in the middle.
    pub disconnect_after: usize,
    /// How many calls this lasts for; absent means until it is changed.
    pub times: Option<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Span::from_millis(0),
            per_token: Span::from_millis(0),
            slow_rate: 0.0,
            slow_by: Span::from_millis(0),
            error_rate: 0.0,
            error_status: 500,
            error_retry_after: None,
            hang_rate: 0.0,
            disconnect_rate: 0.0,
            disconnect_after: 2,
            times: None,
        }
    }
}

impl Faults {
    /// Whether the numbers make sense.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rates = [
            ("slow_rate", self.slow_rate),
            ("error_rate", self.error_rate),
            ("hang_rate", self.hang_rate),
            ("disconnect_rate", self.disconnect_rate),
        ];
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{name} is a share of the calls, from 0 to 1"));
            }
        }
        if !(400..=599).contains(&self.error_status) {
            return Err("error_status is an HTTP status from 400 to 599".into());
        }
        Ok(())
    }
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Time before the first byte.
    pub(crate) latency: Duration,
    /// Time for each token.
    pub(crate) per_token: Duration,
    /// How it ends.
    pub(crate) end: End,
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With its answer.
    Answer,
    /// With an error of this status, and the seconds to wait where they are told.
    Error { status: u16, retry_after: Option<u64> },
    /// Not at all.
    Hang,
    /// With a part of its answer: so many pieces of a stream.
    Disconnect { after: usize },
}

/// Faults as they stand, and the dice.
#[derive(Debug)]
pub(crate) struct Dice {
    faults: Faults,
    rng: SmallRng,
}

impl Dice {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, rng: SmallRng::seed_from_u64(seed) }
    }

    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The fate of the next call, or nothing where no fault is planned.
    pub(crate) fn throw(&mut self) -> Option<Fate> {
        match self.faults.times {
            Some(0) => return None,
            Some(times) => self.faults.times = Some(times - 1),
            None if self.faults == Faults::default() => return None,
            None => {}
        }
        let end = if self.hits(self.faults.hang_rate) {
            End::Hang
        } else if self.hits(self.faults.error_rate) {
            End::Error { status: self.faults.error_status, retry_after: self.faults.error_retry_after }
        } else if self.hits(self.faults.disconnect_rate) {
            End::Disconnect { after: self.faults.disconnect_after }
        } else {
            End::Answer
        };
        let slow = if self.hits(self.faults.slow_rate) { *self.faults.slow_by } else { Duration::ZERO };
        Some(Fate { latency: *self.faults.latency + slow, per_token: *self.faults.per_token, end })
    }

    fn hits(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.rng.random::<f64>() < rate
    }
}

impl Fate {
    /// Of a call that nothing happens to.
    pub(crate) const UNDISTURBED: Self = Self { latency: Duration::ZERO, per_token: Duration::ZERO, end: End::Answer };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_last_as_many_calls_as_they_say() {
        let mut dice = Dice::new(Faults { error_rate: 1.0, times: Some(2), ..Faults::default() }, 0);
        let error = End::Error { status: 500, retry_after: None };
        assert_eq!(dice.throw().map(|fate| fate.end), Some(error));
        assert_eq!(dice.throw().map(|fate| fate.end), Some(error));
        assert_eq!(dice.throw(), None);
    }

    #[test]
    fn a_rate_is_a_share_of_the_calls() {
        let mut dice = Dice::new(Faults { hang_rate: 0.02, ..Faults::default() }, 7);
        let hung = (0..10_000).filter(|_| dice.throw().is_some_and(|fate| fate.end == End::Hang)).count();
        assert!((150..250).contains(&hung), "{hung} of 10,000 at 2%");
    }

    #[test]
    fn a_rate_above_one_is_refused() {
        assert!(Faults { error_rate: 2.0, ..Faults::default() }.check().is_err());
    }
}
