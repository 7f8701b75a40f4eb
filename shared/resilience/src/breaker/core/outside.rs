//! What is decided outside of a breaker: by an operator, or by another breaker of the same dependency.

use std::time::Duration;

use super::{Core, Phase, Probes};
use crate::breaker::reason::Reason;
use crate::breaker::standing::{Mode, Standing, State};

impl Core {
    /// An operator holds it open or closed, or leaves it to itself again: then it probes first where it was held open, and
    /// begins anew where it was held closed. Says whether that changed anything.
    pub fn force(&mut self, now: Duration, mode: Mode) -> bool {
        self.advance(now);
        let phase = match (self.mode(), mode) {
            (from, to) if from == to => return false,
            (_, Mode::ForcedOpen) => Phase::ForcedOpen,
            (_, Mode::ForcedClosed) => Phase::ForcedClosed,
            (Mode::ForcedClosed, Mode::Auto) => Phase::Closed,
            (_, Mode::Auto) => Phase::HalfOpen(Probes::default()),
        };
        self.change(phase, Reason::Forced(mode));
        true
    }

    /// Takes over how another breaker of the same dependency stands, or how this one stood before a restart; says whether
    /// that changed anything. An older standing than its own is not taken, nor what it knows already. No open time that is
    /// taken over is longer than one of its own could be, and an adopted half-open has all of its probes before it.
    pub fn adopt(&mut self, now: Duration, standing: &Standing) -> bool {
        self.advance(now);
        let known = (self.generation, self.mode(), self.state());
        let phase = match (standing.mode, standing.state) {
            (Mode::ForcedOpen, _) => Phase::ForcedOpen,
            (Mode::ForcedClosed, _) => Phase::ForcedClosed,
            (Mode::Auto, State::Closed) => Phase::Closed,
            (Mode::Auto, State::HalfOpen) => Phase::HalfOpen(Probes::default()),
            (Mode::Auto, State::Open) => {
                let left = standing.open_for.min(self.settings.longest_open());
                Phase::Open { until: self.now.saturating_add(left) }
            }
        };
        if standing.generation < self.generation || known == (standing.generation, standing.mode, phase.state()) {
            return false;
        }
        self.openings = standing.openings;
        self.change(phase, standing.reason);
        self.generation = standing.generation;
        self.adopted = true;
        true
    }
}
