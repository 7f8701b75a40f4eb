//! Every metric of this service: its name, its unit, and what it counts.

use std::time::Duration;

use holdfast_resilience::breaker::State;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::{Outcome, Timing};

/// What a call that ended in an error counts as.
const REFUSED: &str = "refused";

pub(crate) fn describe() {
    describe_counter!(
        "holdfast_tool_calls_total",
        Unit::Count,
        "Calls of a tool by outcome: real, tool_error, cached, degraded, unavailable, unknown, replayed, refused."
    );
    describe_histogram!(
        "holdfast_tool_call_seconds",
        Unit::Seconds,
        "Calls of a tool, from the request to the answer."
    );
    describe_histogram!("holdfast_tool_wait_seconds", Unit::Seconds, "The part of it spent waiting for a place.");
    describe_counter!("holdfast_tool_requests_total", Unit::Count, "Requests sent to a tool, retries included.");
    describe_gauge!("holdfast_circuit_state", Unit::Count, "A circuit breaker: 0 closed, 1 half-open, 2 open.");
    describe_counter!("holdfast_circuit_transitions_total", Unit::Count, "Changes of a circuit breaker by new state.");
    describe_counter!(
        "holdfast_tool_truths_total",
        Unit::Count,
        "Results that became known after their outcome had been given up as unknown."
    );
}

/// A call came to an answer.
pub(crate) fn answered(tool: &str, outcome: Outcome, replayed: bool, timing: Timing, took: Duration) {
    let outcome = if replayed { "replayed" } else { outcome.name() };
    ended(tool, outcome, took);
    histogram!("holdfast_tool_wait_seconds", "tool" => tool.to_owned()).record(timing.waited);
    counter!("holdfast_tool_requests_total", "tool" => tool.to_owned()).increment(timing.attempts.into());
}

/// A call came to an error.
pub(crate) fn refused(tool: &str, took: Duration) {
    ended(tool, REFUSED, took);
}

fn ended(tool: &str, outcome: &'static str, took: Duration) {
    counter!("holdfast_tool_calls_total", "tool" => tool.to_owned(), "outcome" => outcome).increment(1);
    histogram!("holdfast_tool_call_seconds", "tool" => tool.to_owned()).record(took);
}

/// A result came after its outcome had been given up.
pub(crate) fn truth_came_late(tool: &str) {
    counter!("holdfast_tool_truths_total", "tool" => tool.to_owned()).increment(1);
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

pub(crate) fn circuit_stands(circuit: &str, state: State) {
    let level = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    gauge!("holdfast_circuit_state", "circuit" => circuit.to_owned()).set(level);
}
