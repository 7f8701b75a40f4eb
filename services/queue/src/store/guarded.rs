//! The store behind circuit breakers, one for each kind of what is done with it: whatever it does, its user gets an answer.
//!
//! Invariants:
//! - While a breaker is open the store is not touched; the refusal says what is left of the open time. (Only what became
//!   of a commit whose answer was lost is asked until it is known: nothing may follow before that.)
//! - In half-open exactly as many calls pass as there are probes: one submission of commands is one call, however many
//!   they are.
//! - Whoever waits for longer than the store's patience is answered; what the store says later still reaches memory, in
//!   the order of commits (a failure may come before what was submitted earlier), so nothing that became durable is lost to it.

mod rounds;
mod shared;

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use holdfast_resilience::breaker::{Settings, State};
use holdfast_storage::{
    Failure,
    gate::{Gate, silence},
};
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use self::rounds::Rounds;
pub use self::rounds::Slot;
use super::{Batch, Command, Filter, History, Raise, Record, Redrives, Store, Sweep, Swept, Waiting, Window};
use crate::domain::time::Micros;
use crate::metrics;
pub use holdfast_storage::gate::settings;

/// A tag whose command the store does not answer in time: somebody may wait for the answer.
pub trait GiveUp: Send + 'static {
    /// Tells whoever waits. The tag goes on without them: the store's own answer still comes.
    fn give_up(&mut self, failure: &Failure);
}

/// What stands between a store and its user.
pub struct Guard<T> {
    writes: Gate,
    /// What callers read.
    reads: Gate,
    /// What may take long to find: somebody's slow lists say nothing about a single invocation.
    lists: Gate,
    /// What is old, which is looked for and removed: a disk that takes no writes stops no lists.
    retention: Gate,
    /// What processes read of each other: what callers read too slowly must not stop it.
    duties: Gate,
    /// What processes show and take of each other: it goes well where a full disk takes nothing new, and says nothing of that.
    members: Gate,
    rounds: Mutex<Rounds<T>>,
}

impl<T: GiveUp> Guard<T> {
    /// A guard with closed breakers. A call may take as long as the patience.
    #[must_use]
    pub fn new(settings: &Settings, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            writes: gate("queue-database-writes", settings, patience),
            reads: gate("queue-database-reads", settings, patience),
            lists: gate("queue-database-lists", settings, patience),
            retention: gate("queue-database-retention", settings, patience),
            duties: gate("queue-database-duties", settings, patience),
            members: gate("queue-database-members", settings, patience),
            rounds: Mutex::default(),
        })
    }

    /// What the store shall call for each committed batch; passes it on to its user.
    pub fn deliver(
        self: &Arc<Self>,
        mut user: impl FnMut(Batch<T>) + Send + 'static,
    ) -> impl FnMut(Batch<Slot>) + Send + 'static {
        let guard = Arc::clone(self);
        move |batch| user(guard.answered(batch))
    }

    /// Puts the guard before its store. Needs the runtime, for whoever waits too long is told from there.
    pub fn over<S: Store<Slot>>(self: Arc<Self>, inner: S) -> Guarded<S, T> {
        tokio::spawn(keep_time(Arc::downgrade(&self)));
        let (members, duties) = (self.members.calm(), self.duties.calm());
        inner.heed(Arc::new(move || members() && duties()));
        Guarded { inner, guard: self }
    }

    fn answered(&self, batch: Batch<Slot>) -> Batch<T> {
        let mut rounds = self.rounds.lock();
        let mut failed = false;
        let answers = batch.answers.into_iter().map(|(slot, answer)| {
            let (tag, permit) = rounds.take(slot);
            if let Some(permit) = permit {
                // What was in one transaction failed once.
                if !failed {
                    self.writes.judge(permit, answer.as_ref().err());
                }
                failed |= answer.as_ref().is_err_and(Failure::is_outage);
            }
            (tag, answer)
        });
        Batch { answers: answers.collect(), took: batch.took }
    }

    /// Answers those who have waited for too long; says when the next could have.
    fn lose_patience(&self, now: Instant) -> Instant {
        let patience = self.writes.patience();
        let mut rounds = self.rounds.lock();
        if let Some(permit) = rounds.overdue(now, patience, |tag| tag.give_up(&silence().in_doubt())) {
            self.writes.judge(permit, Some(&silence()));
        }
        rounds.oldest().unwrap_or(now) + patience
    }
}

/// Nobody can be overdue before what waits now is: it sleeps until then, and is not woken earlier.
async fn keep_time<T: GiveUp>(guard: Weak<Guard<T>>) {
    loop {
        let Some(next) = guard.upgrade().map(|guard| guard.lose_patience(Instant::now())) else { return };
        tokio::time::sleep_until(next).await;
    }
}

fn gate(circuit: &'static str, settings: &Settings, patience: Duration) -> Gate {
    metrics::circuit_stands(circuit, State::Closed);
    Gate::new(circuit, settings.clone(), patience, metrics::circuit_changed)
}

/// A guarded store.
pub struct Guarded<S, T> {
    inner: S,
    guard: Arc<Guard<T>>,
}

impl<S: Store<Slot>, T: GiveUp> Store<T> for Guarded<S, T> {
    fn submit(&self, commands: Vec<(T, Command)>) -> Result<(), (Vec<(T, Command)>, Failure)> {
        if commands.is_empty() {
            return Ok(());
        }
        let permit = match self.guard.writes.enter() {
            Ok(permit) => permit,
            Err(refusal) => return Err((commands, refusal)),
        };
        let (tags, commands): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        let slots = self.guard.rounds.lock().begin(tags, permit, Instant::now());
        let Err((commands, failure)) = self.inner.submit(slots.zip(commands).collect()) else { return Ok(()) };
        let mut rounds = self.guard.rounds.lock();
        let back = commands.into_iter().map(|(slot, command)| {
            let (tag, permit) = rounds.take(slot);
            if let Some(permit) = permit {
                self.guard.writes.judge(permit, Some(&failure));
            }
            (tag, command)
        });
        Err((back.collect(), failure))
    }

    fn get(
        &self,
        id: Uuid,
        tenant: Option<String>,
        with_payload: bool,
    ) -> BoxFuture<'_, Result<Option<Record>, Failure>> {
        self.guard.reads.call(move || self.inner.get(id, tenant, with_payload)).boxed()
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Record>, Failure>> {
        self.guard.lists.call(move || self.inner.list(filter)).boxed()
    }

    fn redriven_by(&self, past: Redrives) -> BoxFuture<'_, Result<Vec<Uuid>, Failure>> {
        self.guard.lists.call(move || self.inner.redriven_by(past)).boxed()
    }

    fn history(
        &self,
        id: Uuid,
        tenant: Option<String>,
        from: u64,
        window: Window,
    ) -> BoxFuture<'_, Result<Option<History>, Failure>> {
        self.guard.reads.call(move || self.inner.history(id, tenant, from, window)).boxed()
    }

    fn by_key(
        &self,
        tenant: Arc<str>,
        agent: Arc<str>,
        key: String,
        digest: [u8; 32],
        since: Micros,
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, Failure>> {
        self.guard.reads.call(move || self.inner.by_key(tenant, agent, key, digest, since)).boxed()
    }

    /// A start reads everything, however long that takes; nobody is served meanwhile.
    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, Failure>> {
        self.inner.waiting()
    }

    fn raises(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Raise>, Failure>> {
        self.guard.duties.call(move || self.inner.raises(after, limit)).boxed()
    }

    fn sweep(&self, sweep: Sweep) -> BoxFuture<'_, Result<Swept, Failure>> {
        self.guard.retention.call(move || self.inner.sweep(sweep)).boxed()
    }

    fn shared(&self) -> Option<&dyn super::Shared> {
        self.inner.shared().map(|_| self as &dyn super::Shared)
    }
}

#[cfg(test)]
mod tests;
