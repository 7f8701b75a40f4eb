//! The circuit breaker: [`Core`] decides, [`Breaker`] adds the clock, the lock and the permit.

mod core;
mod settings;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::core::{Core, Outcome, Reason, Refused, Snapshot, State, Ticket};
pub use self::settings::{InvalidSettings, Settings};

/// Told of each change of state, in order, under the breaker's lock: it must be quick and must not call the breaker.
type Listener = Box<dyn Fn(&Snapshot) + Send + Sync>;

/// A circuit breaker shared by everybody who calls the same dependency. Cloning it shares it.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    core: Mutex<Core>,
    origin: Instant,
    listener: Option<Listener>,
}

impl Breaker {
    /// A closed breaker on the runtime's clock. The settings have been validated by whoever read them.
    pub fn new(settings: Settings) -> Self {
        Self::build(settings, None)
    }

    /// The same, with somebody who is told of each change: metrics, logs, watchers.
    pub fn with_listener(settings: Settings, listener: impl Fn(&Snapshot) + Send + Sync + 'static) -> Self {
        Self::build(settings, Some(Box::new(listener)))
    }

    fn build(settings: Settings, listener: Option<Listener>) -> Self {
        Self {
            shared: Arc::new(Shared {
                core: Mutex::new(Core::new(settings, rand::random())),
                origin: Instant::now(),
                listener,
            }),
        }
    }

    /// Leave for one call, or the reason to make none. Settle the permit by [`Permit::success`] or
    /// [`Permit::failure`]; dropped without either, it counts as cancelled.
    pub fn acquire(&self) -> Result<Permit, Refused> {
        let ticket = self.shared.step(|core, now| core.acquire(now))?;
        Ok(Permit { shared: Arc::clone(&self.shared), ticket: Some(ticket) })
    }

    /// Whether a call would be refused now, without asking for leave: for callers that would have to wait for something
    /// else first.
    pub fn refusal(&self) -> Option<Refused> {
        self.shared.core.lock().refusal(self.shared.now())
    }

    /// How it stands.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.core.lock().snapshot(self.shared.now())
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// One event; the listener hears of the change while the lock still holds the order.
    fn step<T>(&self, event: impl FnOnce(&mut Core, Duration) -> T) -> T {
        let now = self.now();
        let mut core = self.core.lock();
        let before = core.generation();
        let answer = event(&mut core, now);
        if let Some(listener) = &self.listener
            && core.generation() != before
        {
            listener(&core.snapshot(now));
        }
        answer
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Breaker").field(&self.snapshot()).finish()
    }
}

/// Leave for one call.
#[must_use = "a permit that is dropped at once counts as a cancelled call"]
pub struct Permit {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
}

impl Permit {
    /// The dependency did its work.
    pub fn success(mut self) {
        self.settle(Outcome::Success);
    }

    /// The dependency failed, or took too long.
    pub fn failure(mut self) {
        self.settle(Outcome::Failure);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.step(|core, now| core.settle(now, ticket, outcome));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(Outcome::Cancelled);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.ticket).finish()
    }
}
