//! All that the shared breaker takes from its surroundings: time, a lock, chance. The concurrency tests compile `shared.rs`
//! a second time over a module of this shape whose lock lets a scheduler choose who comes next.

use std::time::Duration;

use parking_lot::MutexGuard;
use tokio::time::Instant;

/// The runtime's clock, from when it was made.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A lock that a panic does not poison.
#[derive(Debug)]
pub(super) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }
}

/// So that no two breakers stretch their open times alike.
pub(super) fn seed() -> u64 {
    rand::random()
}
