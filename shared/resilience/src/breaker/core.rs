//! The breaker as a function of (state, now, event): no clock, no lock, no runtime.
//!
//! Invariants:
//! - A ticket belongs to the stay in one state that issued it. What a ticket of an earlier stay reports changes nothing, so
//!   a slow call from before the outage neither opens nor closes anything.
//! - In half-open, tickets issued less tickets cancelled or orphaned never exceed `probes`; what an arbiter outside grants
//!   comes on top, for the arbiter counts it. Of those orphaned, no more go on than successes are still wanted.
//! - One event changes the state at most once, and raises the generation by one; only another's standing raises it further.
//! - While an operator decides, no outcome changes anything.

mod outside;
mod probes;
mod view;

use std::time::Duration;

use self::probes::{Probes, Role};
use super::dice::Dice;
use super::reason::Reason;
use super::settings::{Settings, stretched};
use super::standing::{Refused, State};
use super::window::{Ended, Recent};

/// What became of a call that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The dependency did its work.
    Success,
    /// It did not.
    Failure,
    /// Nobody knows: the caller went away. Counts for nothing, and a probe's place becomes free again.
    Cancelled,
}

/// Leave for one call, to be settled once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    stay: u64,
    since: Duration,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Duration },
    HalfOpen(Probes),
    ForcedOpen,
    ForcedClosed,
}

/// The state of a breaker. `now` is the time since any fixed origin; should it run backwards, it counts as standing still.
#[derive(Debug, Clone)]
pub struct Core {
    settings: Settings,
    phase: Phase,
    /// Changes of state that happened here: what a ticket is known by. The generation will not do, for two breakers may
    /// come to the same one on different ways.
    stay: u64,
    generation: u64,
    adopted: bool,
    recent: Recent,
    consecutive: u32,
    /// Times it opened without closing in between.
    openings: u32,
    reason: Reason,
    changed: Duration,
    now: Duration,
    dice: Dice,
}

impl Core {
    /// A closed breaker. The seed decides its jitter.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            recent: Recent::new(settings.window),
            settings,
            phase: Phase::Closed,
            stay: 0,
            generation: 0,
            adopted: false,
            consecutive: 0,
            openings: 0,
            reason: Reason::Started,
            changed: Duration::ZERO,
            now: Duration::ZERO,
            dice: Dice::new(seed),
        }
    }

    /// How often it has changed its state, here.
    pub fn changes(&self) -> u64 {
        self.stay
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// The call must not be made.
    pub fn acquire(&mut self, now: Duration) -> Result<Ticket, Refused> {
        self.advance(now);
        match self.refusal(now) {
            Some(refused) => Err(refused),
            None => Ok(self.issue()),
        }
    }

    /// Asks for leave that is no probe: where several breakers share their standing, an arbiter grants the probes.
    ///
    /// # Errors
    /// It is not closed. Without anything to wait for, a probe is due: ask the arbiter, then [`Self::grant`].
    pub fn acquire_closed(&mut self, now: Duration) -> Result<Ticket, Refused> {
        self.advance(now);
        match self.phase {
            Phase::Closed | Phase::ForcedClosed => Ok(self.issue()),
            _ => {
                let due = Refused { state: self.state(), retry_after: Duration::ZERO };
                Err(self.refusal(now).unwrap_or(due))
            }
        }
    }

    /// Leave for a probe that an arbiter granted: it has counted all of them, so this breaker's own count and what it knows
    /// of the open time do not matter. Where it has closed meanwhile, leave for a call like any other.
    ///
    /// # Errors
    /// An operator holds it open.
    pub fn grant(&mut self, now: Duration) -> Result<Ticket, Refused> {
        self.advance(now);
        match self.refusal(now) {
            Some(refused) if self.phase == Phase::ForcedOpen => Err(refused),
            _ => Ok(self.issue()),
        }
    }

    /// The call begins only now: what was waited for between leave and call is not held against the dependency.
    pub fn begin(&mut self, now: Duration, ticket: &mut Ticket) {
        self.advance(now);
        ticket.since = self.now;
    }

    /// Reports what became of a call. One that took longer than `slow_call` since its ticket was issued, or it began, is
    /// slow.
    pub fn settle(&mut self, now: Duration, ticket: Ticket, outcome: Outcome) {
        self.advance(now);
        if ticket.stay != self.stay {
            return;
        }
        let slow = self.settings.slow_call.is_some_and(|most| self.now - ticket.since > most);
        if outcome != Outcome::Cancelled {
            self.recent.record(self.now, Ended { failed: outcome == Outcome::Failure, slow });
        }
        match self.phase {
            Phase::Closed => self.settle_closed(outcome),
            Phase::HalfOpen(probes) => self.settle_probe(probes, ticket.role, outcome, slow),
            // No ticket is issued while open, so none is of this stay; and an operator's word is not weighed.
            Phase::Open { .. } | Phase::ForcedOpen | Phase::ForcedClosed => {}
        }
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Somebody has found that a call may pass: while open, the open time is over.
    fn issue(&mut self) -> Ticket {
        if let Phase::Open { .. } = self.phase {
            self.change(Phase::HalfOpen(Probes::default()), Reason::OpenTimePassed);
        }
        let mut role = Role::Call;
        if let Phase::HalfOpen(probes) = &mut self.phase {
            probes.under_way += 1;
            role = Role::Probe;
        }
        Ticket { stay: self.stay, since: self.now, role }
    }

    fn settle_closed(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.consecutive = 0,
            Outcome::Failure => self.consecutive = self.consecutive.saturating_add(1),
            Outcome::Cancelled => return,
        }
        if let Some(reason) = self.trip() {
            self.open(reason);
        }
    }

    fn trip(&self) -> Option<Reason> {
        let Settings { minimum_calls, failure_percent, slow_percent, consecutive_failures, .. } = self.settings;
        if consecutive_failures.is_some_and(|most| self.consecutive >= most) {
            return Some(Reason::ConsecutiveFailures(self.consecutive));
        }
        let counts = self.recent.counts(self.now);
        let (calls, failures, slow) = (counts.calls, counts.failures, counts.slow);
        if calls < minimum_calls {
            return None;
        }
        if reaches(failures, calls, failure_percent) {
            return Some(Reason::FailureRate { failures, calls });
        }
        reaches(slow, calls, slow_percent).then_some(Reason::SlowRate { slow, calls })
    }

    fn open(&mut self, reason: Reason) {
        let doubled = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let time = self.settings.open.saturating_mul(doubled).min(self.settings.open_max);
        let time = stretched(time, self.dice.roll(self.settings.jitter_percent * 100));
        self.openings = self.openings.saturating_add(1);
        self.change(Phase::Open { until: self.now.saturating_add(time) }, reason);
    }

    fn change(&mut self, phase: Phase, reason: Reason) {
        // While open the window still shows what tripped it; probes, and calls after them, are counted anew.
        if phase.state() != State::Open {
            self.recent.clear();
        }
        if phase.state() == State::Closed {
            self.openings = 0;
        }
        self.phase = phase;
        self.reason = reason;
        self.changed = self.now;
        self.consecutive = 0;
        self.stay += 1;
        // What comes from outside may stand at the end of all numbers.
        self.generation = self.generation.saturating_add(1);
        self.adopted = false;
    }
}

/// Whether so many are so large a share of all. None are no share.
fn reaches(some: u32, all: u32, percent: u32) -> bool {
    some > 0 && u64::from(some) * 100 >= u64::from(all) * u64::from(percent)
}
