//! One breaker with what its callers are told: the last trouble, and when to come back.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_resilience::breaker::{Breaker, Permit, Refused, Settings, Snapshot, State};
use holdfast_storage::{Class, Failure};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::silence;
use crate::metrics;

/// A caller that goes away after this part of the patience was let down: with callers that wait for less than all of it, a
/// database that answers nobody would else never be seen to fail.
const LET_DOWN: u32 = 5;

/// The way to one kind of calls.
pub(super) struct Gate {
    breaker: Breaker,
    patience: Duration,
    last: Arc<Mutex<Option<Failure>>>,
}

impl Gate {
    pub(super) fn new(circuit: &'static str, settings: Settings, patience: Duration) -> Self {
        let last: Arc<Mutex<Option<Failure>>> = Arc::default();
        let why = Arc::clone(&last);
        metrics::circuit_stands(circuit, State::Closed);
        let breaker = Breaker::with_listener(settings, move |now| changed(circuit, now, why.lock().as_ref()));
        Self { breaker, patience, last }
    }

    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Says whether the breaker is closed.
    pub(super) fn calm(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let breaker = self.breaker.clone();
        move || breaker.snapshot().state == State::Closed
    }

    /// Leave for one call.
    pub(super) fn enter(&self) -> Result<Permit, Failure> {
        self.breaker.acquire().map_err(|refused| self.refusal(refused))
    }

    /// What a call came to.
    pub(super) fn judge(&self, permit: Permit, failure: Option<&Failure>) {
        match failure {
            Some(failure) if failure.is_outage() => {
                *self.last.lock() = Some(failure.clone());
                permit.failure();
            }
            Some(failure) if failure.class() != Class::Statement => drop(permit),
            // One refused statement says that the database works.
            Some(_) | None => permit.success(),
        }
    }

    /// One call, ended by the patience.
    pub(super) async fn call<'a, R>(
        &'a self,
        begin: impl FnOnce() -> BoxFuture<'a, Result<R, Failure>> + Send,
    ) -> Result<R, Failure> {
        let mut pending = Pending { gate: self, permit: Some(self.enter()?), since: Instant::now() };
        let answer = timeout(self.patience, begin()).await.unwrap_or_else(|_| Err(silence()));
        pending.settle(answer.as_ref().err());
        answer
    }

    fn refusal(&self, refused: Refused) -> Failure {
        self.last.lock().clone().unwrap_or_else(silence).healing_in(refused.retry_after)
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

fn changed(circuit: &'static str, now: &Snapshot, why: Option<&Failure>) {
    metrics::circuit_changed(circuit, now.state);
    match now.state {
        State::Open => tracing::error!(
            circuit, reason = %now.reason, error = why.map(tracing::field::display),
            retry_after_ms = now.retry_after.as_millis() as u64, "the circuit is open: the database is left alone"
        ),
        State::HalfOpen => tracing::info!(circuit, "the circuit is half-open: the database is tried"),
        State::Closed => tracing::info!(circuit, "the circuit is closed: the database works"),
    }
}
