//! How a worker ends: no new work, a period for what runs, the rest handed back, a moment for the queue's answers.

use std::{future::Future, pin::Pin, time::Duration};

use tokio::time::Instant;

use crate::calls::later;

/// How long the queue may take, after the drain, to answer what was handed back.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Where a shutdown stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Working,
    /// Until then, handlers may go on.
    Draining(Instant),
    /// Until then, the queue may answer.
    Settling(Instant),
    Over,
}

/// A shutdown that was not asked for yet, or is under way.
pub(crate) struct Shutdown<'a, F> {
    phase: Phase,
    asked: Pin<&'a mut F>,
    drain: Duration,
}

impl<'a, F: Future<Output = ()>> Shutdown<'a, F> {
    pub(crate) fn new(asked: Pin<&'a mut F>, drain: Duration) -> Self {
        Self { phase: Phase::Working, asked, drain }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn is_working(&self) -> bool {
        self.phase == Phase::Working
    }

    /// Completes when the next phase begins. Dropped and called again, it loses nothing.
    pub(crate) async fn turn(&mut self) {
        match self.phase {
            Phase::Working => self.asked.as_mut().await,
            Phase::Draining(until) | Phase::Settling(until) => tokio::time::sleep_until(until).await,
            Phase::Over => {}
        }
    }

    /// Begins the next phase.
    pub(crate) fn advance(&mut self, now: Instant) -> Phase {
        self.phase = match self.phase {
            Phase::Working => Phase::Draining(later(now, self.drain)),
            Phase::Draining(_) => Phase::Settling(now + SETTLE_MAX),
            Phase::Settling(_) | Phase::Over => Phase::Over,
        };
        self.phase
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use super::*;

    #[test]
    fn a_drain_without_a_limit_ends_far_away() {
        let (now, asked) = (Instant::now(), pin!(pending()));
        let Phase::Draining(until) = Shutdown::new(asked, Duration::MAX).advance(now) else {
            panic!("it drains first")
        };
        assert!(until > now + Duration::from_secs(365 * 24 * 3_600));
    }
}
