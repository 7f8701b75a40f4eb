//! The breaker as a function of (state, now, event): no clock, no lock, no runtime.
//!
//! Invariants:
//! - Each state has a generation, and a ticket belongs to the generation that issued it. What a ticket of an earlier
//!   generation reports changes nothing, so a slow call from before the outage neither opens nor closes anything.
//! - In half-open, tickets issued less tickets cancelled never exceed `probes`.
//! - One event changes the state at most once.

use std::fmt;
use std::time::Duration;

use super::settings::Settings;
use super::window::Window;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// A few probes pass.
    HalfOpen,
}

/// Why a breaker came to stand where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has never changed.
    Started,
    /// Too many calls of the window failed.
    FailureRate {
        /// Failed calls in the window.
        failures: u32,
        /// All calls in the window.
        calls: u32,
    },
    /// Too many calls failed in a row.
    ConsecutiveFailures(u32),
    /// The open time has passed: it probes.
    OpenTimePassed,
    /// A probe failed.
    ProbeFailed,
    /// Every probe succeeded.
    ProbesSucceeded,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => write!(f, "started"),
            Self::FailureRate { failures, calls } => write!(f, "{failures} of {calls} calls failed"),
            Self::ConsecutiveFailures(failures) => write!(f, "{failures} calls failed in a row"),
            Self::OpenTimePassed => write!(f, "the open time has passed"),
            Self::ProbeFailed => write!(f, "a probe failed"),
            Self::ProbesSucceeded => write!(f, "every probe succeeded"),
        }
    }
}

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
    generation: u64,
}

/// No leave: the call must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Open or half-open.
    pub state: State,
    /// When to come back. In half-open nobody knows how long the probes take: the open time stands in.
    pub retry_after: Duration,
}

/// A breaker as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it stands.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// Calls in its window (in half-open: probes that have ended).
    pub calls: u32,
    /// Failed ones among them.
    pub failures: u32,
    /// While open: how long until probes pass. Else zero.
    pub retry_after: Duration,
    /// How long ago it last changed.
    pub changed_ago: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Duration },
    HalfOpen { issued: u32, succeeded: u32 },
}

/// The state of a breaker. `now` is the time since any fixed origin; should it run backwards, it counts as standing still.
#[derive(Debug, Clone)]
pub struct Core {
    settings: Settings,
    phase: Phase,
    generation: u64,
    window: Window,
    consecutive: u32,
    /// Times it opened without closing in between.
    openings: u32,
    reason: Reason,
    changed: Duration,
    now: Duration,
    dice: u64,
}

impl Core {
    /// A closed breaker. The seed decides its jitter.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            window: Window::new(settings.window),
            settings,
            phase: Phase::Closed,
            generation: 0,
            consecutive: 0,
            openings: 0,
            reason: Reason::Started,
            changed: Duration::ZERO,
            now: Duration::ZERO,
            dice: seed,
        }
    }

    /// Rises by one with each change of state.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a call would be refused now; changes nothing.
    pub fn refusal(&self, now: Duration) -> Option<Refused> {
        let now = self.now.max(now);
        match self.phase {
            Phase::Open { until } if now < until => Some(Refused { state: State::Open, retry_after: until - now }),
            Phase::HalfOpen { issued, .. } if issued >= self.settings.probes => {
                Some(Refused { state: State::HalfOpen, retry_after: self.settings.open })
            }
            _ => None,
        }
    }

    /// Asks for leave to call.
    pub fn acquire(&mut self, now: Duration) -> Result<Ticket, Refused> {
        self.now = self.now.max(now);
        if let Some(refused) = self.refusal(now) {
            return Err(refused);
        }
        if let Phase::Open { .. } = self.phase {
            self.change(Phase::HalfOpen { issued: 0, succeeded: 0 }, Reason::OpenTimePassed);
        }
        if let Phase::HalfOpen { issued, .. } = &mut self.phase {
            *issued += 1;
        }
        Ok(Ticket { generation: self.generation })
    }

    /// Reports what became of a call.
    pub fn settle(&mut self, now: Duration, ticket: Ticket, outcome: Outcome) {
        self.now = self.now.max(now);
        if ticket.generation != self.generation {
            return;
        }
        if outcome != Outcome::Cancelled {
            self.window.record(self.now, outcome == Outcome::Failure);
        }
        match self.phase {
            Phase::Closed => self.settle_closed(outcome),
            Phase::HalfOpen { issued, succeeded } => self.settle_probe(issued, succeeded, outcome),
            // No ticket is issued while open, so none carries this generation.
            Phase::Open { .. } => {}
        }
    }

    /// How it stands.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let now = self.now.max(now);
        let counts = self.window.counts(now);
        let (state, retry_after) = match self.phase {
            Phase::Closed => (State::Closed, Duration::ZERO),
            Phase::Open { until } => (State::Open, until.saturating_sub(now)),
            Phase::HalfOpen { .. } => (State::HalfOpen, Duration::ZERO),
        };
        Snapshot {
            state,
            reason: self.reason,
            calls: counts.calls,
            failures: counts.failures,
            retry_after,
            changed_ago: now - self.changed,
        }
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

    fn settle_probe(&mut self, issued: u32, succeeded: u32, outcome: Outcome) {
        match outcome {
            Outcome::Failure => self.open(Reason::ProbeFailed),
            Outcome::Success if succeeded + 1 >= self.settings.probes => {
                self.openings = 0;
                self.change(Phase::Closed, Reason::ProbesSucceeded);
            }
            Outcome::Success => {
                self.phase = Phase::HalfOpen { issued, succeeded: succeeded + 1 };
            }
            Outcome::Cancelled => {
                self.phase = Phase::HalfOpen { issued: issued - 1, succeeded };
            }
        }
    }

    fn trip(&self) -> Option<Reason> {
        if self.settings.consecutive_failures.is_some_and(|most| self.consecutive >= most) {
            return Some(Reason::ConsecutiveFailures(self.consecutive));
        }
        let counts = self.window.counts(self.now);
        let failed = u64::from(counts.failures) * 100;
        let allowed = u64::from(counts.calls) * u64::from(self.settings.failure_percent);
        (counts.calls >= self.settings.minimum_calls && failed >= allowed)
            .then_some(Reason::FailureRate { failures: counts.failures, calls: counts.calls })
    }

    fn open(&mut self, reason: Reason) {
        let doubled = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let time = self.settings.open.saturating_mul(doubled).min(self.settings.open_max);
        let stretch = self.roll(u64::from(self.settings.jitter_percent) * 100);
        let time = time.saturating_add(time.saturating_mul(stretch) / 10_000);
        self.openings = self.openings.saturating_add(1);
        let until = self.now.saturating_add(time);
        self.change(Phase::Open { until }, reason);
    }

    fn change(&mut self, phase: Phase, reason: Reason) {
        // While open the window still shows what tripped it; probes, and calls after them, are counted anew.
        if !matches!(phase, Phase::Open { .. }) {
            self.window.clear();
        }
        self.phase = phase;
        self.reason = reason;
        self.changed = self.now;
        self.consecutive = 0;
        self.generation += 1;
    }

    /// A number in `0..=most` (SplitMix64: the whole state is one word, so a seed replays a history).
    fn roll(&mut self, most: u64) -> u32 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((z ^ (z >> 31)) % (most + 1)).unwrap_or(0)
    }
}
