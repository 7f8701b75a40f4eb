//! Leave for one call that is answered elsewhere than where it is waited for: the first of the two to say what became of it
//! settles it.

use std::sync::Arc;
use std::time::Duration;

use holdfast_resilience::breaker::Permit;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{Gate, LET_DOWN, judge, silence};
use crate::Failure;

/// The leave. Clones are one.
#[derive(Debug, Clone)]
pub struct Pass(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permit: Mutex<Option<Permit>>,
    last: Arc<Mutex<Option<Failure>>>,
    since: Instant,
    patience: Duration,
}

impl Gate {
    /// Leave for one call that a batch answers.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn pass(&self) -> Result<Pass, Failure> {
        let permit = Mutex::new(Some(self.enter()?));
        let (last, since, patience) = (Arc::clone(&self.last), Instant::now(), self.patience);
        Ok(Pass(Arc::new(Inner { permit, last, since, patience })))
    }
}

impl Pass {
    /// The call came to this.
    pub fn settle(&self, failure: Option<&Failure>) {
        if let Some(permit) = self.0.permit.lock().take() {
            judge(&self.0.last, permit, failure);
        }
    }

    /// What it came to says nothing.
    pub fn void(&self) {
        drop(self.0.permit.lock().take());
    }

    /// Waits for an answer, as long as the patience lasts; `None` past it. A caller that goes away before was let down, if it
    /// had waited for long.
    pub async fn wait<A>(&self, answer: impl Future<Output = A>) -> Option<A> {
        let mut waits = Waits { pass: self, is_answered: false };
        let answer = timeout_at(self.0.since + self.0.patience, answer).await.ok();
        waits.is_answered = answer.is_some();
        answer
    }
}

struct Waits<'p> {
    pass: &'p Pass,
    is_answered: bool,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let Inner { since, patience, .. } = &*self.pass.0;
        if !self.is_answered && since.elapsed() >= *patience / LET_DOWN {
            self.pass.settle(Some(&silence()));
        }
    }
}

/// Settles the calls of one batch: what was in one transaction failed once.
pub fn judge_together<'b>(batch: impl IntoIterator<Item = (&'b Pass, Option<&'b Failure>)>) {
    let mut failed = false;
    for (pass, failure) in batch {
        let outage = failure.is_some_and(Failure::is_outage);
        if outage && failed {
            pass.void();
        } else {
            pass.settle(failure);
        }
        failed |= outage;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use holdfast_resilience::breaker::State;

    use super::*;
    use crate::{Class, gate::settings};

    const PATIENCE: Duration = Duration::from_millis(200);

    fn gate() -> Gate {
        Gate::new("test", settings(), PATIENCE, |_, _| {})
    }

    fn state(gate: &Gate) -> State {
        gate.breaker.snapshot().state
    }

    #[tokio::test]
    async fn a_batch_that_fails_is_one_failure() {
        let gate = gate();
        let gone = Failure::new(Class::Io, "gone").in_doubt();
        for opened in [State::Closed, State::Closed, State::Open] {
            let passes: Vec<_> = (0..64).map(|_| gate.pass().unwrap()).collect();
            judge_together(passes.iter().map(|pass| (pass, Some(&gone))));
            assert_eq!(state(&gate), opened);
        }
        let refused = gate.pass().unwrap_err();
        assert!(refused.class() == Class::Io && refused.retry_after().is_some_and(|wait| wait <= settings().open_max));
        assert!(!refused.may_have_happened(), "what is refused is not tried");
    }

    #[tokio::test]
    async fn who_waits_is_told_in_time_and_who_left_late_was_let_down() {
        let gate = gate();
        let pass = gate.pass().unwrap();
        assert_eq!(pass.wait(ready(7)).await, Some(7));
        pass.settle(None);
        assert_eq!(gate.pass().unwrap().wait(pending::<()>()).await, None);
        let short = (PATIENCE / 100, State::Closed);
        for (waits, opened) in [short, (PATIENCE / 2, State::Closed), (PATIENCE / 2, State::Open)] {
            let pass = gate.pass().unwrap();
            let left = tokio::time::timeout(waits, pass.wait(pending::<()>())).await;
            assert!(left.is_err());
            assert_eq!(state(&gate), opened, "after {waits:?}");
        }
    }

    #[tokio::test]
    async fn what_goes_well_elsewhere_closes_it_but_after_a_full_disk() {
        for (class, closed) in [(Class::Io, true), (Class::Full, false)] {
            let open = Duration::from_millis(20);
            let settings = holdfast_resilience::breaker::Settings { open, open_max: open, ..settings() };
            let gate = Gate::new("test", settings, PATIENCE, |_, _| {});
            (0..3).for_each(|_| gate.judge(gate.enter().unwrap(), Some(&Failure::new(class, "away"))));
            gate.hears_well();
            let left = gate.enter().expect_err("its open time is not over").retry_after().unwrap();
            tokio::time::sleep(left).await;
            (0..3).for_each(|_| gate.hears_well());
            assert_eq!(state(&gate) == State::Closed, closed, "{class:?}");
        }
    }
}
