//! A circuit breaker in front of a database, with what its callers are told: the last trouble, and when to come back.

mod pass;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_resilience::breaker::{Breaker, Permit, Refused, Settings, Snapshot, State};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{Class, Failure};

pub use self::pass::{Pass, judge_together};

/// A caller that goes away after this part of the patience was let down: with callers that wait for less than all of it, a
/// database that answers nobody would else never be seen to fail.
const LET_DOWN: u32 = 5;

/// When a database counts as gone, and how it is tried again.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        minimum_calls: 20,
        // A batch that fails counts once: one broken connection is not an outage.
        consecutive_failures: Some(3),
        // A try costs one connection: those who wait shall not wait for long after it is back.
        open: Duration::from_millis(500),
        open_max: Duration::from_secs(2),
        ..Settings::default()
    }
}

/// The database said nothing in time.
#[must_use]
pub fn silence() -> Failure {
    Failure::new(Class::Silent, "it did not answer in time")
}

/// The way to one kind of calls.
#[derive(Debug)]
pub struct Gate {
    breaker: Breaker,
    patience: Duration,
    last: Arc<Mutex<Option<Failure>>>,
}

impl Gate {
    /// A closed gate, by the name of its circuit. `changed` hears of each change; it must be quick.
    #[must_use]
    pub fn new(
        circuit: &'static str,
        settings: Settings,
        patience: Duration,
        changed: impl Fn(&'static str, State) + Send + Sync + 'static,
    ) -> Self {
        let last: Arc<Mutex<Option<Failure>>> = Arc::default();
        let why = Arc::clone(&last);
        let breaker = Breaker::with_listener(settings, move |now| {
            changed(circuit, now.state);
            say(circuit, now, why.lock().as_ref());
        });
        Self { breaker, patience, last }
    }

    /// How long a call may take.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// Says whether the breaker is closed.
    pub fn calm(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let breaker = self.breaker.clone();
        move || breaker.snapshot().state == State::Closed
    }

    /// Another kind of call went well: that is a try for this one as well, but where the disk was full.
    pub fn hears_well(&self) {
        let full = self.last.lock().as_ref().is_some_and(|last| last.class() == Class::Full);
        if !full
            && self.breaker.snapshot().state != State::Closed
            && let Ok(permit) = self.breaker.acquire()
        {
            permit.success();
        }
    }

    /// Leave for one call.
    ///
    /// # Errors
    /// The last trouble, and what is left of the open time.
    pub fn enter(&self) -> Result<Permit, Failure> {
        self.breaker.acquire().map_err(|refused| self.refusal(refused))
    }

    /// What a call came to.
    pub fn judge(&self, permit: Permit, failure: Option<&Failure>) {
        judge(&self.last, permit, failure);
    }

    /// One call, ended by the patience.
    ///
    /// # Errors
    /// What the call came to, or that there was no leave for it.
    pub async fn call<'a, R>(
        &'a self,
        begin: impl FnOnce() -> BoxFuture<'a, Result<R, Failure>> + Send,
    ) -> Result<R, Failure> {
        let mut pending = Pending { gate: self, permit: Some(self.enter()?), since: Instant::now() };
        let answer = timeout(self.patience, begin()).await.unwrap_or_else(|_| Err(silence()));
        pending.settle(answer.as_ref().err());
        answer
    }

    fn refusal(&self, refused: Refused) -> Failure {
        // What was last tried may be in doubt; what is refused is not.
        self.last.lock().clone().unwrap_or_else(silence).not_stored().healing_in(refused.retry_after)
    }
}

fn judge(last: &Mutex<Option<Failure>>, permit: Permit, failure: Option<&Failure>) {
    match failure {
        Some(failure) if failure.is_outage() => {
            *last.lock() = Some(failure.clone());
            permit.failure();
        }
        Some(failure) if failure.class() != Class::Statement => drop(permit),
        // One refused statement says that the database works.
        Some(_) | None => permit.success(),
    }
}

/// A call that its caller may drop.
struct Pending<'a> {
    gate: &'a Gate,
    permit: Option<Permit>,
    since: Instant,
}

impl Pending<'_> {
    fn settle(&mut self, failure: Option<&Failure>) {
        if let Some(permit) = self.permit.take() {
            self.gate.judge(permit, failure);
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.permit.is_some() && self.since.elapsed() >= self.gate.patience / LET_DOWN {
            self.settle(Some(&silence()));
        }
    }
}

fn say(circuit: &'static str, now: &Snapshot, why: Option<&Failure>) {
    match now.state {
        State::Open => tracing::error!(
            circuit, reason = %now.reason, error = why.map(tracing::field::display),
            retry_after_ms = now.retry_after.as_millis() as u64, "the circuit is open: the database is left alone"
        ),
        State::HalfOpen => tracing::info!(circuit, "the circuit is half-open: the database is tried"),
        State::Closed => tracing::info!(circuit, "the circuit is closed: the database works"),
    }
}
