//! The way back: what becomes of the calls that are let through in half-open.

use std::time::Duration;

use super::{Core, Outcome, Phase, Ticket, reaches};
use crate::breaker::reason::Reason;

/// What a call is to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Call,
    Probe,
    /// A probe whose caller has gone away.
    Orphan,
}

/// What became of the calls let through in half-open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Probes {
    pub(super) under_way: u32,
    /// Whose callers have gone away. They take no place, and what becomes of them still counts.
    orphans: u32,
    pub(super) succeeded: u32,
    /// Among those that succeeded.
    slow: u32,
}

impl Ticket {
    /// Whether the breaker finds its way back by what becomes of this call.
    pub fn is_probe(&self) -> bool {
        self.role != Role::Call
    }
}

impl Core {
    /// The caller of a probe goes away before anything is known. Where this is true, the probe's place is free again at once,
    /// and the call should go on without its caller: what becomes of it still counts, and is settled as ever. Else there is no
    /// reason to go on: settled as cancelled, it gives its place back, too. *Else callers who all give up before the answer
    /// would keep a breaker half-open for ever.*
    pub fn orphan(&mut self, now: Duration, ticket: &mut Ticket) -> bool {
        self.advance(now);
        let wanted = self.settings.probes;
        match &mut self.phase {
            Phase::HalfOpen(probes)
                if ticket.stay == self.stay
                    && ticket.role == Role::Probe
                    && probes.orphans + probes.succeeded < wanted =>
            {
                probes.under_way -= 1;
                probes.orphans += 1;
                ticket.role = Role::Orphan;
                true
            }
            _ => false,
        }
    }

    pub(super) fn settle_probe(&mut self, mut probes: Probes, role: Role, outcome: Outcome, slow: bool) {
        match role {
            Role::Orphan => probes.orphans -= 1,
            Role::Probe | Role::Call => probes.under_way -= 1,
        }
        match outcome {
            Outcome::Failure => return self.open(Reason::ProbeFailed),
            Outcome::Success => {
                probes.succeeded += 1;
                probes.slow += u32::from(slow);
            }
            Outcome::Cancelled => {}
        }
        let all = self.settings.probes;
        if reaches(probes.slow, all, self.settings.slow_percent) {
            self.open(Reason::ProbesSlow { slow: probes.slow, probes: all });
        } else if probes.succeeded >= all {
            self.change(Phase::Closed, Reason::ProbesSucceeded);
        } else {
            self.phase = Phase::HalfOpen(probes);
        }
    }
}
