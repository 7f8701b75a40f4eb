//! What a breaker is told.

use std::time::Duration;

use thiserror::Error;

/// When a breaker trips, for how long it stays open, and how it finds its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Calls older than this are forgotten. Kept in ten slices, so a call is forgotten after nine to ten tenths of it.
    pub window: Duration,
    /// The error rate says nothing below this many calls in the window.
    pub minimum_calls: u32,
    /// The share of failed calls, in percent, at which the breaker opens.
    pub failure_percent: u32,
    /// So many failures in a row open the breaker, however few calls there were. `None` turns this off.
    pub consecutive_failures: Option<u32>,
    /// How long the breaker stays open the first time. Doubles with each round of probes that fails.
    pub open: Duration,
    /// The most that `open` doubles to.
    pub open_max: Duration,
    /// Each open time is stretched by a random share of up to this many percent, so that breakers do not probe in step.
    pub jitter_percent: u32,
    /// Calls let through in half-open, in all: the breaker closes once every one has succeeded.
    pub probes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            minimum_calls: 10,
            failure_percent: 50,
            consecutive_failures: None,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            jitter_percent: 10,
            probes: 3,
        }
    }
}

/// A setting with which no breaker could work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} {why}")]
pub struct InvalidSettings {
    /// The field of [`Settings`].
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Settings {
    /// Refuses what could never trip or never heal.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let invalid = |field, why| Err(InvalidSettings { field, why });
        if self.window < Duration::from_millis(10) {
            return invalid("window", "must be at least 10ms");
        }
        if self.minimum_calls == 0 {
            return invalid("minimum_calls", "must be at least 1");
        }
        if !(1..=100).contains(&self.failure_percent) {
            return invalid("failure_percent", "must be between 1 and 100");
        }
        if self.consecutive_failures == Some(0) {
            return invalid("consecutive_failures", "must be at least 1");
        }
        if self.open.is_zero() {
            return invalid("open", "must be longer than nothing");
        }
        if self.open_max < self.open {
            return invalid("open_max", "must not be shorter than open");
        }
        if self.jitter_percent > 100 {
            return invalid("jitter_percent", "must be between 0 and 100");
        }
        if self.probes == 0 {
            return invalid("probes", "must be at least 1: without probes it never closes");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().expect("usable as they are");
    }

    #[test]
    fn a_breaker_that_could_never_close_is_refused() {
        let settings = Settings { probes: 0, ..Settings::default() };
        assert_eq!(settings.validate().unwrap_err().field, "probes");
    }
}
