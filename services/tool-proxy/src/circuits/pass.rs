//! Leave for one call, and what came of it.

use holdfast_resilience::Permit;
use holdfast_resilience::breaker::State;

use super::circuit::Circuit;
use super::sharing::Probe;

/// Leave for one call at one circuit. Dropped without a word it counts as cancelled, and a probe's place is free again.
#[derive(Debug)]
#[must_use = "a pass that is dropped at once counts as a cancelled call"]
pub(crate) struct Pass {
    permit: Option<Permit>,
    probe: Option<Probe>,
    circuit: Circuit,
}

impl Pass {
    pub(super) fn new(permit: Permit, probe: Option<Probe>, circuit: Circuit) -> Self {
        Self { permit: Some(permit), probe, circuit }
    }

    /// The call is made now.
    pub(crate) fn begins_now(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.begins_now();
        }
    }

    /// The call did what it should.
    pub(crate) fn success(mut self) {
        let Some(permit) = self.permit.take() else { return };
        permit.success();
        match self.probe.take() {
            // It was slow, and opened the circuit.
            Some(probe) if self.circuit.inner.breaker.snapshot().state == State::Open => probe.opened(),
            Some(probe) => probe.succeeded(),
            None => {}
        }
    }

    /// The call failed.
    pub(crate) fn failure(mut self) {
        if let Some(permit) = self.permit.take() {
            permit.failure();
        }
        if let Some(probe) = self.probe.take() {
            probe.opened();
        }
    }
}
