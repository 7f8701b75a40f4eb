//! What processes share of their circuits: a Redis, which counts the probes of all and tells each change to everybody.
//!
//! ```text
//!   a change here ─► tell ─► Redis: version rises ─► news ─► look ─► adopted by the others
//!   a probe is due ─► probe ─► 1 of N, or wait     success ─► settle ─► the Nth closes the circuit for all
//! ```
//!
//! Invariants:
//! - no call waits for Redis, but one that would probe, and that for a bounded time;
//! - of two who tell at once, the first counts: a change is taken only on top of the version that its teller has seen;
//! - whatever message is lost, the next look finds the difference;
//! - while Redis is away each process goes on alone, and what it came to meanwhile is told, or given up, when it is back.

mod duty;
mod notice;
mod scripts;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use holdfast_redis::Way;
use holdfast_resilience::breaker::Reason;
use holdfast_rpc::{deadline, id};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

pub(super) use self::duty::run;
pub(super) use self::notice::Notice;
use self::scripts::Keys;
use super::circuit::Inner;

/// What is added to the patience with a probe before it is given to another: its outcome is on its way.
const MARGIN: Duration = Duration::from_secs(1);
/// Outcomes of probes that may wait to be sent. What finds no room is given up, and its place is free after its time.
const OUTCOMES_MAX: usize = 1_024;

/// The way to the others.
#[derive(Debug)]
pub(crate) struct Sharing {
    way: Way,
    keys: Keys,
    timeout: Duration,
    link: Mutex<Option<MultiplexedConnection>>,
    /// Which connection it is, counted from 1; 0 while there is none.
    number: AtomicU64,
    /// Rung when a connection is not to be trusted any more.
    broken: Notify,
    /// Rung when every circuit was looked at after a connection was made, or none could be made.
    settled: Notify,
    outcomes: mpsc::Sender<Outcome>,
    inbox: Mutex<Option<mpsc::Receiver<Outcome>>>,
}

/// What became of a probe.
#[derive(Debug)]
struct Outcome {
    circuit: Arc<Inner>,
    id: String,
    /// The version of its half-open.
    round: u64,
    succeeded: bool,
}

/// What came of asking for a probe.
#[derive(Debug)]
pub(super) enum Asked {
    /// It is one of those that may pass.
    Granted(Probe),
    /// There is none for it now.
    Held(Duration),
    /// Nobody answered, or the answer was that this process may decide.
    Alone,
}

impl Sharing {
    /// By the settings; `None` where they name no Redis. Nothing is opened yet.
    pub(crate) fn new(settings: &holdfast_config::Redis) -> Option<Self> {
        let (outcomes, inbox) = mpsc::channel(OUTCOMES_MAX);
        Some(Self {
            way: Way::new(settings)?,
            keys: Keys::new(&settings.prefix),
            timeout: *settings.timeout,
            link: Mutex::default(),
            number: AtomicU64::new(0),
            broken: Notify::new(),
            settled: Notify::new(),
            outcomes,
            inbox: Mutex::new(Some(inbox)),
        })
    }

    /// Which connection there is; 0 while each process goes on alone.
    pub(super) fn joined(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Waits until it is known how the others stand, or that they cannot be reached.
    pub(super) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// Asks for one of the probes of all processes.
    pub(super) async fn probe(self: &Arc<Self>, circuit: &Arc<Inner>, patience: Duration) -> Asked {
        let number = self.joined();
        let Some(mut link) = self.link.lock().clone() else { return Asked::Alone };
        let asked = circuit.seat.lock().ask(circuit.probes, Instant::now());
        let asked_at = match asked {
            Ok(asked_at) => asked_at,
            Err(wait) => return Asked::Held(wait),
        };
        // From here on the place is given back, whatever happens to this call.
        let mut probe =
            Probe { sharing: Arc::clone(self), circuit: Arc::clone(circuit), id: id::new(), round: 0, open: true };
        let _asking = Asking(circuit);
        let openings = circuit.breaker.snapshot().openings;
        let request = self.keys.of(&scripts::PROBE, &circuit.post.name);
        let request = request.arg(&probe.id).number(circuit.probes).micros(patience + MARGIN).number(openings);
        let request = request.json(&Reason::OpenTimePassed);
        // A hasty caller still gets its fallback in time, and says nothing about Redis.
        let hasty = deadline::remaining().map(|left| left / 2).filter(|half| *half < self.timeout);
        let answer = match timeout(hasty.unwrap_or(self.timeout), request.send(&mut link)).await {
            Err(_) if hasty.is_some() => return Asked::Held(self.timeout),
            Err(_) | Ok(Err(_)) => None,
            Ok(Ok(value)) => notice::of_probe(&value),
        };
        let Some((granted, wait, notice)) = answer else {
            self.give_up(number);
            return Asked::Alone;
        };
        circuit.take(notice.as_ref(), asked_at);
        let round = notice.as_ref().map_or(0, |notice| notice.version);
        if granted && circuit.seat.lock().seen() == round {
            probe.round = round;
            return Asked::Granted(probe);
        }
        probe.open = granted;
        match notice {
            Some(notice) if notice.passes_none() => {
                circuit.seat.lock().refused(wait, notice.is_open(), Instant::now());
                Asked::Held(wait)
            }
            _ => Asked::Alone,
        }
    }

    /// The connection is not to be trusted: everybody goes on alone until there is another.
    fn give_up(&self, number: u64) {
        if self.number.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            *self.link.lock() = None;
            self.broken.notify_one();
        }
    }
}

/// A question under way, counted.
struct Asking<'a>(&'a Inner);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.seat.lock().answered();
    }
}

/// One of the probes of all processes. Dropped without a success its place is free again.
#[derive(Debug)]
pub(super) struct Probe {
    sharing: Arc<Sharing>,
    circuit: Arc<Inner>,
    id: String,
    round: u64,
    /// Whether its outcome is still to be told.
    open: bool,
}

impl Probe {
    /// It came back well.
    pub(super) fn succeeded(mut self) {
        self.tell(true);
    }

    /// It opened the circuit, which ends its half-open for all. Until they know, its place is nobody else's.
    pub(super) fn opened(mut self) {
        self.open = false;
    }

    fn tell(&mut self, succeeded: bool) {
        if std::mem::take(&mut self.open) {
            let id = std::mem::take(&mut self.id);
            let outcome = Outcome { circuit: Arc::clone(&self.circuit), id, round: self.round, succeeded };
            // Without room, or with nobody to carry it, its place is free after its time.
            let _ = self.sharing.outcomes.try_send(outcome);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.tell(false);
    }
}
