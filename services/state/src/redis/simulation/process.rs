//! One process: it lives, stands still, dies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::random::Random;

/// Once in so many calls, a process dies right there.
const CRASH_ONCE_IN: u64 = 3_000;

/// How long a call may be on its way that is slow: longer than it takes to change who decides.
const SLOW_MS: u64 = 4_500;

/// What stands between a process and everything else.
#[derive(Debug)]
pub(super) struct Life {
    random: Arc<Random>,
    dead: AtomicBool,
    stands_until: Mutex<Option<Instant>>,
    /// Some of its calls are on their way for seconds.
    pub(super) slow: AtomicBool,
    /// Whether it may die by itself.
    pub(super) mortal: AtomicBool,
}

impl Life {
    pub(super) fn new(random: Arc<Random>, mortal: bool) -> Arc<Self> {
        let (mortal, slow) = (AtomicBool::new(mortal), AtomicBool::new(false));
        Arc::new(Self { random, dead: AtomicBool::new(false), stands_until: Mutex::new(None), slow, mortal })
    }

    pub(super) fn die(&self) {
        self.dead.store(true, Relaxed);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// It does nothing for so long; what is on its way to it waits.
    pub(super) fn stand_still(&self, span: Duration) {
        *self.stands_until.lock() = Some(Instant::now() + span);
    }

    /// On the way out or in: takes a while, and may be the end.
    pub(super) async fn step(&self, span_ms: u64) {
        if self.mortal.load(Relaxed) && self.random.once_in(CRASH_ONCE_IN) {
            self.die();
        }
        let span_ms = if self.slow.load(Relaxed) && self.random.once_in(4) { SLOW_MS } else { span_ms };
        match self.random.below(span_ms + 1) {
            0 => tokio::task::yield_now().await,
            delay => sleep(Duration::from_millis(delay)).await,
        }
        loop {
            let until = *self.stands_until.lock();
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => break,
            }
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}
