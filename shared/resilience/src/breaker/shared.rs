//! The core between threads: one lock, held for one event and for nothing that waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::sync::{Clock, Mutex, seed};
use super::{Core, Mode, Outcome, Refused, Settings, Snapshot, Standing, Ticket};

/// Told of each change of state, in order, under the breaker's lock: it must be quick and must not call the breaker.
type Listener = Box<dyn Fn(&Snapshot) + Send + Sync>;

/// A circuit breaker shared by everybody who calls the same dependency. Cloning it shares it.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    core: Mutex<Core>,
    clock: Clock,
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
        let core = Mutex::new(Core::new(settings, seed()));
        Self { shared: Arc::new(Shared { core, clock: Clock::start(), listener }) }
    }

    /// Leave for one call, or the reason to make none. Settle the permit by [`Permit::success`] or
    /// [`Permit::failure`]; dropped without either, it counts as cancelled.
    ///
    /// # Errors
    /// The call must not be made.
    pub fn acquire(&self) -> Result<Permit, Refused> {
        self.permit(Core::acquire)
    }

    /// Leave for one call that is no probe: for breakers whose probes an arbiter outside counts.
    ///
    /// # Errors
    /// It is not closed. Where there is nothing to wait for, a probe is due: ask the arbiter.
    pub fn acquire_closed(&self) -> Result<Permit, Refused> {
        self.permit(Core::acquire_closed)
    }

    /// Leave for one probe that an arbiter outside granted: it passes the count of this breaker.
    ///
    /// # Errors
    /// An operator holds the breaker open.
    pub fn acquire_granted(&self) -> Result<Permit, Refused> {
        self.permit(Core::grant)
    }

    /// Whether a call would be refused now, without asking for leave: for callers that would have to wait for something
    /// else first.
    pub fn refusal(&self) -> Option<Refused> {
        self.shared.core.lock().refusal(self.shared.clock.now())
    }

    /// How it stands.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.core.lock().snapshot(self.shared.clock.now())
    }

    /// What another breaker of the same dependency can take over.
    pub fn standing(&self) -> Standing {
        self.snapshot().standing()
    }

    /// Takes over another's standing, unless its own is newer; see [`Core::adopt`].
    pub fn adopt(&self, standing: &Standing) -> bool {
        self.shared.step(|core, now| core.adopt(now, standing))
    }

    /// An operator holds it open or closed, or leaves it to itself again; see [`Core::force`].
    pub fn set_mode(&self, mode: Mode) -> bool {
        self.shared.step(|core, now| core.force(now, mode))
    }

    fn permit(&self, ask: impl FnOnce(&mut Core, Duration) -> Result<Ticket, Refused>) -> Result<Permit, Refused> {
        let ticket = self.shared.step(ask)?;
        Ok(Permit { shared: Arc::clone(&self.shared), ticket: Some(ticket), if_dropped: Outcome::Cancelled })
    }
}

impl Shared {
    /// One event; the listener hears of the change while the lock still holds the order.
    fn step<T>(&self, event: impl FnOnce(&mut Core, Duration) -> T) -> T {
        let now = self.clock.now();
        let mut core = self.core.lock();
        let before = core.changes();
        let answer = event(&mut core, now);
        if let Some(listener) = &self.listener
            && core.changes() != before
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

/// Leave for one call. It knows since when: what takes longer than the breaker's `slow_call` until it is settled is slow.
/// Where something else is waited for before the call, [`Permit::begins_now`] says when it begins.
#[must_use = "a permit that is dropped at once counts as a cancelled call"]
pub struct Permit {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    if_dropped: Outcome,
}

impl Permit {
    /// The call is made now: what was waited for since the permit was issued is not the dependency's.
    pub fn begins_now(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            self.shared.step(|core, now| core.begin(now, ticket));
        }
    }

    /// Whether the breaker finds its way back by what becomes of this call.
    pub fn is_probe(&self) -> bool {
        self.ticket.is_some_and(|ticket| ticket.is_probe())
    }

    /// The dependency has begun to answer: a probe that is dropped from here on counts as a success.
    pub fn answers(&mut self) {
        if self.is_probe() {
            self.if_dropped = Outcome::Success;
        }
    }

    /// The caller of a probe has gone away, and its place is free for the next one. Where this is true, the call should go on
    /// without, to its end or its own timeout, and be settled by what becomes of it; else there is no reason to. See
    /// [`Core::orphan`].
    pub fn orphan(&mut self) -> bool {
        let Some(ticket) = &mut self.ticket else { return false };
        self.shared.step(|core, now| core.orphan(now, ticket))
    }

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
        self.settle(self.if_dropped);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.ticket).finish()
    }
}
