//! Every metric of this service: its name, its unit, and what it counts.

mod mcp;
mod tool;

use holdfast_resilience::breaker::State;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

pub(crate) use self::mcp::{mcp_server_stands, mcp_tools};
pub(crate) use self::tool::{Meters, cancelled, places, stood_in, truth_came_late};

pub(crate) fn describe() {
    tool::describe();
    mcp::describe();
    describe_gauge!("holdfast_circuit_state", Unit::Count, "A circuit breaker: 0 closed, 1 half-open, 2 open.");
    describe_counter!("holdfast_circuit_transitions_total", Unit::Count, "Changes of a circuit breaker by new state.");
    describe_gauge!(
        "holdfast_circuits_shared",
        Unit::Count,
        "Whether circuits are shared with other processes: 1, or 0 while Redis is away."
    );
    describe_counter!(
        "holdfast_egress_refused_total",
        Unit::Count,
        "Connections, requests and redirects refused to a tool, by the kind of address that was not allowed: loopback, \
         private, metadata and the like; or elsewhere, redirect."
    );
}

/// Something was not reached, because it must not be.
pub(crate) fn egress_refused(name: &str, reason: &'static str) {
    counter!("holdfast_egress_refused_total", "name" => name.to_owned(), "reason" => reason).increment(1);
}

pub(crate) fn circuit_changed(circuit: &str, state: State) {
    let to = match state {
        State::Closed => "closed",
        State::HalfOpen => "half_open",
        State::Open => "open",
    };
    counter!("holdfast_circuit_transitions_total", "circuit" => circuit.to_owned(), "to" => to).increment(1);
    circuit_stands(circuit, state);
}

/// Whether other processes can be asked.
pub(crate) fn circuits_shared(shared: bool) {
    gauge!("holdfast_circuits_shared").set(if shared { 1.0 } else { 0.0 });
}

pub(crate) fn circuit_stands(circuit: &str, state: State) {
    let level = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    gauge!("holdfast_circuit_state", "circuit" => circuit.to_owned()).set(level);
}
