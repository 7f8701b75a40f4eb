//! What became of the latest calls, in constant memory: of those of a span of time, or of a number of them.

mod last;
mod slices;

use std::time::Duration;

use self::last::Last;
use self::slices::Slices;
use super::settings::Window;

/// What a call that ended says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// How many calls there were, and how many of them failed or were slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failures: u32,
    pub(super) slow: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
    }

    fn take_off(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

impl From<Ended> for Counts {
    fn from(ended: Ended) -> Self {
        Self { calls: 1, failures: ended.failed.into(), slow: ended.slow.into() }
    }
}

/// The latest calls.
#[derive(Debug, Clone)]
pub(super) enum Recent {
    Time(Slices),
    Calls(Last),
}

impl Recent {
    pub(super) fn new(window: Window) -> Self {
        match window {
            Window::Time(length) => Self::Time(Slices::new(length)),
            Window::Calls(calls) => Self::Calls(Last::new(calls)),
        }
    }

    pub(super) fn record(&mut self, now: Duration, ended: Ended) {
        match self {
            Self::Time(slices) => slices.record(now, ended),
            Self::Calls(last) => last.record(ended),
        }
    }

    pub(super) fn counts(&self, now: Duration) -> Counts {
        match self {
            Self::Time(slices) => slices.counts(now),
            Self::Calls(last) => last.counts(),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Time(slices) => slices.clear(),
            Self::Calls(last) => last.clear(),
        }
    }
}
