//! How a breaker stands, to be read.

use std::time::Duration;

use super::{Core, Phase};
use crate::breaker::standing::{Mode, Refused, Snapshot, Standing, State};

impl Core {
    /// Whether a call would be refused now; changes nothing.
    pub fn refusal(&self, now: Duration) -> Option<Refused> {
        let now = self.now.max(now);
        let open = self.settings.open;
        match self.phase {
            Phase::Open { until } if now < until => Some(Refused { state: State::Open, retry_after: until - now }),
            Phase::ForcedOpen => Some(Refused { state: State::Open, retry_after: open }),
            Phase::HalfOpen(probes) if probes.under_way + probes.succeeded >= self.settings.probes => {
                Some(Refused { state: State::HalfOpen, retry_after: open })
            }
            _ => None,
        }
    }

    /// What another breaker can take over.
    pub fn standing(&self, now: Duration) -> Standing {
        self.snapshot(now).standing()
    }

    /// How it stands.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let now = self.now.max(now);
        let counts = self.recent.counts(now);
        let retry_after = match self.phase {
            Phase::Open { until } => until.saturating_sub(now),
            Phase::ForcedOpen => self.settings.open,
            Phase::Closed | Phase::ForcedClosed | Phase::HalfOpen(_) => Duration::ZERO,
        };
        Snapshot {
            state: self.state(),
            mode: self.mode(),
            reason: self.reason,
            calls: counts.calls,
            failures: counts.failures,
            slow: counts.slow,
            retry_after,
            changed_ago: now - self.changed,
            openings: self.openings,
            generation: self.generation,
            adopted: self.adopted,
        }
    }

    pub(super) fn state(&self) -> State {
        self.phase.state()
    }

    pub(super) fn mode(&self) -> Mode {
        match self.phase {
            Phase::ForcedOpen => Mode::ForcedOpen,
            Phase::ForcedClosed => Mode::ForcedClosed,
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen(_) => Mode::Auto,
        }
    }
}

impl Phase {
    pub(super) fn state(self) -> State {
        match self {
            Phase::Closed | Phase::ForcedClosed => State::Closed,
            Phase::Open { .. } | Phase::ForcedOpen => State::Open,
            Phase::HalfOpen(_) => State::HalfOpen,
        }
    }
}
