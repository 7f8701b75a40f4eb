//! A provider's pool of keys, shared by the calls: they wait here, each woken when its turn comes.

mod alarm;
mod days;
mod desk;
mod journal;
mod keep;
mod place;
mod rounds;

use std::{collections::HashMap, io, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use self::{alarm::Alarm, desk::Desks, journal::Mark};
pub(crate) use self::{
    place::{Arrival, Place},
    rounds::Rounds,
};
use crate::{
    clock::Clock,
    domain::{Asked, Bounds, Capacity, Decision, Grant, Lane, Limits, Pool, Refusal, Shares, Ticket, Want, Why},
    metrics::Gauges,
};

/// The gate of one provider. Its duties end with it.
#[derive(Debug)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
    duties: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: Clock,
    /// Rings when the time to wake at may have come nearer.
    moved: Notify,
    /// Rings when there is something that the next process has to know.
    changed: Notify,
    /// Rings when it was written down.
    kept: Notify,
    /// Held by who writes it down.
    writing: Mutex<()>,
    /// Rings when the ledger of shared limits should hear of something sooner than it was going to.
    untold: Notify,
    /// Says that something is not as it was.
    changes: watch::Sender<()>,
    gauges: Gauges,
}

#[derive(Debug)]
struct State {
    pool: Pool,
    desks: Desks,
    waiting: HashMap<Ticket, oneshot::Sender<Result<Place, Refusal>>>,
    /// When the ledger of shared limits hears from here next.
    next_round: Option<Duration>,
}

type Decided = Vec<(Option<oneshot::Sender<Result<Place, Refusal>>>, Result<Place, Refusal>)>;

impl Gate {
    /// Opens the gate; what is known of the last window is read from the directory, where each key has files of its own
    /// that begin with the prefix.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(crate) fn open(
        dir: &Path,
        prefix: &str,
        keys: Vec<(String, Limits)>,
        (bounds, ageing): (Bounds, Duration),
        shares: Option<Shares>,
        clock: Clock,
        gauges: Gauges,
    ) -> io::Result<Self> {
        let mut pool = Pool::new(Vec::new(), bounds, ageing, clock.now());
        pool.share(shares);
        let mut desks = Desks::new(dir, prefix);
        desks.set(keys, &mut pool, &clock, &gauges)?;
        let state = Mutex::new(State { pool, desks, waiting: HashMap::new(), next_round: None });
        let shared = Arc::new(Shared {
            state,
            clock,
            moved: Notify::new(),
            untold: Notify::new(),
            changed: Notify::new(),
            kept: Notify::new(),
            writing: Mutex::new(()),
            changes: watch::Sender::new(()),
            gauges,
        });
        let duties =
            [tokio::spawn(keep_time(Arc::clone(&shared), Alarm::new())), tokio::spawn(keep::keep(Arc::clone(&shared)))];
        Ok(Self { shared, duties })
    }

    /// The lane of an upstream model.
    pub(crate) fn lane(&self, upstream: &str) -> Lane {
        self.shared.state.lock().pool.lane(upstream)
    }

    /// The keys from here on, in this order. Those that stay keep their state; those that go end the calls that they have.
    ///
    /// # Errors
    /// The directory cannot be used: then all is as it was.
    pub(crate) fn set_keys(&self, keys: Vec<(String, Limits)>) -> io::Result<()> {
        let shared = &self.shared;
        // Who comes back later finds it.
        shared.write_down(false);
        let set = {
            let State { pool, desks, .. } = &mut *shared.state.lock();
            desks.set(keys, pool, &shared.clock, &shared.gauges)
        };
        shared.step(|_, _| {});
        set
    }

    /// A key has another secret: whatever was wrong with it, the next call shows what it is worth.
    pub(crate) fn renew(&self, key: &str) {
        let id = self.shared.state.lock().desks.id(key);
        if let Some(id) = id {
            self.shared.step(|pool, now| pool.renew(now, id));
        }
    }

    /// Waits for a place with a key; with a ticket where the call has waited before.
    pub(crate) async fn enter(&self, want: Want, ticket: Option<Ticket>) -> Result<Place, Refusal> {
        let mut ticket = ticket;
        loop {
            let place = self.wait(want.clone(), ticket).await?;
            // On the way here its key may have gone to rest.
            if place.holds_good() {
                return Ok(place);
            }
            ticket = Some(place.ticket());
        }
    }

    /// A time of the runtime by this gate's clock.
    pub(crate) fn at(&self, instant: Instant) -> Duration {
        self.shared.clock.at(instant)
    }

    /// How many keys could be used now, if they had room.
    pub(crate) fn keys_well(&self) -> usize {
        self.shared.state.lock().pool.keys_well(self.shared.clock.now())
    }

    /// What the keys leave, and who waits.
    pub(crate) fn capacity(&self) -> Capacity {
        self.shared.state.lock().pool.capacity(self.shared.clock.now())
    }

    /// Tells whenever that has changed by an event; what time alone changes, it does not tell.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.shared.changes.subscribe()
    }

    async fn wait(&self, want: Want, ticket: Option<Ticket>) -> Result<Place, Refusal> {
        let shared = &self.shared;
        let latest = [want.deadline, want.start_by].into_iter().flatten().min();
        let (waits, ticket, decided) = {
            let mut state = shared.state.lock();
            let now = shared.clock.now();
            match state.pool.ask(now, want.clone(), ticket) {
                Asked::Granted(grant) => {
                    shared.plan_round(&mut state, now);
                    return Ok(shared.place(&state, grant));
                }
                Asked::Refused(refusal) => return Err(refusal),
                Asked::Waiting(ticket) => {
                    let (sender, receiver) = oneshot::channel();
                    state.waiting.insert(ticket, sender);
                    // What came free by time since the last look is for those who wait already.
                    (receiver, ticket, shared.decide(&mut state, now))
                }
            }
        };
        send(decided);
        shared.moved.notify_one();
        let _leaves = InLine { shared, ticket };
        let decided = match latest {
            Some(latest) => timeout_at(shared.clock.instant(latest), waits).await,
            None => Ok(waits.await),
        };
        match decided {
            Ok(Ok(decision)) => decision,
            // The sender lives as long as the ticket is in line, so only time can end the wait without a decision.
            Ok(Err(_)) | Err(_) => Err(shared.too_late(&want)),
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.duties.iter().for_each(JoinHandle::abort);
        self.shared.write_down(true);
    }
}

impl Shared {
    /// One event, and all that follows from it for those in line.
    fn step<T>(self: &Arc<Self>, event: impl FnOnce(&mut Pool, Duration) -> T) -> T {
        let (value, decided) = {
            let mut state = self.state.lock();
            let now = self.clock.now();
            let value = event(&mut state.pool, now);
            (value, self.decide(&mut state, now))
        };
        send(decided);
        value
    }

    fn decide(self: &Arc<Self>, state: &mut State, now: Duration) -> Decided {
        let mut decided = Vec::new();
        for decision in state.pool.advance(now) {
            let (ticket, outcome) = match decision {
                Decision::Granted(grant) => (grant.ticket, Ok(self.place(state, grant))),
                Decision::Refused(ticket, refusal) => (ticket, Err(refusal)),
            };
            decided.push((state.waiting.remove(&ticket), outcome));
        }
        self.plan_round(state, now);
        // With nobody in line there is nothing to wake up for.
        if state.pool.in_line() > 0 {
            self.moved.notify_one();
        }
        self.gauges.in_line(state.pool.in_line());
        if self.changes.receiver_count() > 0 {
            self.changes.send_replace(());
        }
        decided
    }

    fn place(self: &Arc<Self>, state: &State, grant: Grant) -> Place {
        let mark = Mark::of(state.pool.upstream(grant.lane));
        let good_until = state.pool.good_until(self.clock.now(), grant.key);
        Place::new(Arc::clone(self), state.desks.of(grant.key), mark, grant, good_until)
    }

    /// Somebody's time passed in line. A place may come free for it no sooner than for the first who waits.
    fn too_late(&self, want: &Want) -> Refusal {
        let now = self.clock.now();
        let why = if want.deadline.is_some_and(|deadline| deadline <= now) { Why::Late } else { Why::Slow };
        let starts_in = self.state.lock().pool.forecast(now, want);
        Refusal { why, retry_after: starts_in, starts_in }
    }
}

/// Who went away meanwhile gives its place back by dropping it: so never under the lock.
fn send(decided: Decided) {
    for (waiting, outcome) in decided {
        let _ = waiting.map(|waiting| waiting.send(outcome));
    }
}

/// Wakes those in line whose turn comes by time alone. No polling: it sleeps until then.
async fn keep_time(shared: Arc<Shared>, alarm: Alarm) {
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
            () = alarm.wait_until(shared.clock.instant(at)) => shared.step(|_, _| {}),
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
            self.shared.step(|pool, _| pool.give_up(&ticket));
        }
    }
}

#[cfg(test)]
mod tests;
