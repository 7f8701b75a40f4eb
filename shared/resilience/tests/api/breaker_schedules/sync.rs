//! What the shared breaker takes from its surroundings, with a scheduler that chooses who goes on wherever one may have to
//! wait, and a clock that the test moves.

use std::cell::Cell;
use std::sync::PoisonError;
use std::time::Duration;

use shuttle::sync::MutexGuard;

thread_local! {
    // All threads of one schedule are coroutines of one thread.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// From now on it is so late.
pub(super) fn set_clock(now: Duration) {
    NOW.set(now);
}

#[derive(Debug)]
pub(super) struct Clock;

impl Clock {
    pub(super) fn start() -> Self {
        Self
    }

    pub(super) fn now(&self) -> Duration {
        NOW.get()
    }
}

#[derive(Debug)]
pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn seed() -> u64 {
    7
}
