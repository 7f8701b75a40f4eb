//! What a breaker is told.

use std::time::Duration;

use thiserror::Error;

/// The most calls that a window of calls remembers: each takes two bytes, from the beginning on.
pub const CALLS_MAX: u32 = 10_000;

/// The window where nothing else is said.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The shortest window of time.
const TIME_MIN: Duration = Duration::from_millis(10);

/// Which calls the rates are rates of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Calls that ended within this time. Kept in ten slices, so a call is forgotten after nine to ten tenths of it.
    Time(Duration),
    /// The last so many calls, however long ago. Up to [`CALLS_MAX`].
    Calls(u32),
}

/// When a breaker trips, for how long it stays open, and how it finds its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which calls the rates are rates of.
    pub window: Window,
    /// The rates say nothing below this many calls in the window.
    pub minimum_calls: u32,
    /// The share of failed calls, in percent, at which the breaker opens.
    pub failure_percent: u32,
    /// A call that took longer than this is slow, whatever became of it. `None`: none is.
    pub slow_call: Option<Duration>,
    /// The share of slow calls, in percent, at which the breaker opens; of probes, at which it opens again.
    pub slow_percent: u32,
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
            window: Window::Time(WINDOW),
            minimum_calls: 10,
            failure_percent: 50,
            slow_call: None,
            slow_percent: 50,
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
    /// The field of [`Settings`]; of the two windows, that of calls is `window_calls`.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Settings {
    /// Refuses what could never trip or never heal.
    ///
    /// # Errors
    /// The first field that is wrong, and why.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let calls_max = match self.window {
            Window::Time(_) => u32::MAX,
            Window::Calls(calls) => calls,
        };
        let rules = [
            (self.window != Window::Calls(0), "window_calls", "must be at least 1"),
            (self.window.is_bounded(), "window_calls", "must not be more than 10000"),
            (self.window.is_long_enough(), "window", "must be at least 10ms"),
            (self.minimum_calls > 0, "minimum_calls", "must be at least 1"),
            (self.minimum_calls <= calls_max, "minimum_calls", "must not be more than the window holds"),
            (is_share(self.failure_percent), "failure_percent", "must be between 1 and 100"),
            (self.slow_call != Some(Duration::ZERO), "slow_call", "must be longer than nothing"),
            (is_share(self.slow_percent), "slow_percent", "must be between 1 and 100"),
            (self.consecutive_failures != Some(0), "consecutive_failures", "must be at least 1"),
            (!self.open.is_zero(), "open", "must be longer than nothing"),
            (self.open_max >= self.open, "open_max", "must not be shorter than open"),
            (self.jitter_percent <= 100, "jitter_percent", "must be between 0 and 100"),
            (self.probes > 0, "probes", "must be at least 1: without probes it never closes"),
        ];
        let broken = rules.into_iter().find(|(holds, ..)| !holds);
        broken.map_or(Ok(()), |(_, field, why)| Err(InvalidSettings { field, why }))
    }

    /// No open time is longer than this.
    pub(super) fn longest_open(&self) -> Duration {
        stretched(self.open_max, self.jitter_percent * 100)
    }
}

/// A time, longer by so many hundredths of a percent.
pub(super) fn stretched(time: Duration, by: u32) -> Duration {
    time.saturating_add(time.saturating_mul(by) / 10_000)
}

impl Window {
    fn is_bounded(self) -> bool {
        !matches!(self, Self::Calls(calls) if calls > CALLS_MAX)
    }

    fn is_long_enough(self) -> bool {
        !matches!(self, Self::Time(time) if time < TIME_MIN)
    }
}

fn is_share(percent: u32) -> bool {
    (1..=100).contains(&percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().expect("usable as they are");
    }

    #[test]
    fn what_could_never_trip_or_never_heal_is_refused() {
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 12] = [
            ("window", |settings| settings.window = Window::Time(Duration::from_millis(9))),
            ("window_calls", |settings| settings.window = Window::Calls(0)),
            ("window_calls", |settings| settings.window = Window::Calls(CALLS_MAX + 1)),
            ("minimum_calls", |settings| settings.minimum_calls = 0),
            ("minimum_calls", |settings| settings.window = Window::Calls(9)),
            ("failure_percent", |settings| settings.failure_percent = 101),
            ("slow_call", |settings| settings.slow_call = Some(Duration::ZERO)),
            ("slow_percent", |settings| settings.slow_percent = 0),
            ("consecutive_failures", |settings| settings.consecutive_failures = Some(0)),
            ("open_max", |settings| settings.open_max = Duration::from_secs(1)),
            ("jitter_percent", |settings| settings.jitter_percent = 101),
            ("probes", |settings| settings.probes = 0),
        ];
        for (field, make) in wrong {
            let mut settings = Settings::default();
            make(&mut settings);
            assert_eq!(settings.validate().unwrap_err().field, field);
        }
    }
}
