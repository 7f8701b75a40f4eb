//! A provider's pool of keys, shared by the calls: they wait here, each woken when its turn comes.

mod journal;
mod place;

use std::{collections::HashMap, io, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use self::journal::Journal;
pub(crate) use self::place::{Arrival, Place};
use crate::{
    clock::Clock,
    domain::{Asked, Decision, Limits, Pool, Refusal, Ticket, Want, Why},
    metrics::Gauges,
};

/// How much may wait in front of one provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineBounds {
    pub(crate) calls: usize,
    pub(crate) bytes: usize,
}

/// The gate of one provider. Its timer ends with it.
#[derive(Debug)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
    timer: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: Clock,
    journals: Vec<Option<Journal>>,
    /// Rings when the time to wake at may have come nearer.
    moved: Notify,
    gauges: Gauges,
}

#[derive(Debug)]
struct State {
    pool: Pool,
    waiting: HashMap<Ticket, oneshot::Sender<Result<Place, Refusal>>>,
}

impl Gate {
    /// Opens the gate; what is known of the last window is read from the directory.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(crate) fn open(
        dir: &Path,
        keys: Vec<(String, Limits)>,
        bounds: LineBounds,
        clock: Clock,
        gauges: Gauges,
    ) -> io::Result<Self> {
        let now = clock.now();
        let mut journals = Vec::with_capacity(keys.len());
        let mut limits = Vec::with_capacity(keys.len());
        for (name, of_key) in keys {
            let (journal, past) = journal::open(&dir.join(format!("{name}.window")), &of_key, &clock)?;
            journals.push(journal);
            limits.push((of_key, past));
        }
        let pool = Pool::new(limits, bounds.calls, bounds.bytes, now);
        let state = Mutex::new(State { pool, waiting: HashMap::new() });
        let shared = Arc::new(Shared { state, clock, journals, moved: Notify::new(), gauges });
        let timer = tokio::spawn(keep_time(Arc::clone(&shared)));
        Ok(Self { shared, timer })
    }

    /// Waits for a place with a key; with a ticket where the call has waited before.
    pub(crate) async fn enter(&self, want: Want, ticket: Option<Ticket>) -> Result<Place, Refusal> {
        let shared = &self.shared;
        let (waits, ticket) = {
            let mut state = shared.state.lock();
            match state.pool.ask(shared.clock.now(), want, ticket) {
                Asked::Granted(grant) => return Ok(Place::new(Arc::clone(shared), grant)),
                Asked::Refused(refusal) => return Err(refusal),
                Asked::Waiting(ticket) => {
                    let (sender, receiver) = oneshot::channel();
                    state.waiting.insert(ticket, sender);
                    shared.gauges.in_line(state.pool.in_line());
                    (receiver, ticket)
                }
            }
        };
        shared.moved.notify_one();
        let _leaves = InLine { shared, ticket };
        let decided = match want.deadline {
            Some(deadline) => timeout_at(shared.clock.instant(deadline), waits).await,
            None => Ok(waits.await),
        };
        match decided {
            Ok(Ok(decision)) => decision,
            // The sender lives as long as the ticket is in line, so only time can end the wait without a decision.
            Ok(Err(_)) | Err(_) => Err(shared.too_late(want)),
        }
    }

    /// A time of the runtime by this gate's clock.
    pub(crate) fn at(&self, instant: Instant) -> Duration {
        self.shared.clock.at(instant)
    }

    /// The provider took a key.
    pub(crate) fn taken(&self, key: usize) {
        self.shared.gauges.taken(key);
    }

    /// How many keys could be used now, if they had room.
    pub(crate) fn keys_well(&self) -> usize {
        self.shared.state.lock().pool.keys_well(self.shared.clock.now())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Shared {
    /// One event, and all that follows from it for those in line.
    fn step(self: &Arc<Self>, event: impl FnOnce(&mut Pool, Duration)) {
        let mut decided = Vec::new();
        {
            let mut state = self.state.lock();
            let now = self.clock.now();
            event(&mut state.pool, now);
            for decision in state.pool.advance(now) {
                let (ticket, outcome) = match decision {
                    Decision::Granted(grant) => (grant.ticket, Ok(Place::new(Arc::clone(self), grant))),
                    Decision::Refused(ticket, refusal) => (ticket, Err(refusal)),
                };
                decided.push((state.waiting.remove(&ticket), outcome));
            }
            if !decided.is_empty() {
                self.gauges.in_line(state.pool.in_line());
            }
            // With nobody in line there is nothing to wake up for.
            if state.pool.in_line() > 0 {
                self.moved.notify_one();
            }
        }
        for (waiting, outcome) in decided {
            // Who went away meanwhile gives its place back by dropping it: outside of the lock, as here.
            let _ = waiting.map(|waiting| waiting.send(outcome));
        }
    }

    /// Somebody's deadline passed in line. A place may come free for it no sooner than for the first who waits.
    fn too_late(&self, want: Want) -> Refusal {
        let retry_after = self.state.lock().pool.forecast(self.clock.now(), want);
        Refusal { why: Why::Late, retry_after }
    }
}

/// Wakes those in line whose turn comes by time alone. No polling: it sleeps until then.
async fn keep_time(shared: Arc<Shared>) {
    loop {
        let wake_at = {
            let state = shared.state.lock();
            state.pool.wake_at(shared.clock.now())
        };
        let Some(at) = wake_at else {
            shared.moved.notified().await;
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep_until(shared.clock.instant(at)) => shared.step(|_, _| {}),
            () = shared.moved.notified() => {}
        }
    }
}

/// Leaves the line when its waiter goes away.
struct InLine<'g> {
    shared: &'g Arc<Shared>,
    ticket: Ticket,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if self.shared.state.lock().waiting.remove(&self.ticket).is_some() {
            let ticket = self.ticket;
            self.shared.step(|pool, _| pool.give_up(ticket));
        }
    }
}

#[cfg(test)]
mod tests;
