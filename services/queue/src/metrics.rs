//! What the queue counts beside requests, errors and latency, which every server counts.

use std::time::Duration;

use holdfast_resilience::breaker::State;
use metrics::{Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::domain::depth::{Full, Mark};
use crate::domain::invocation::{Status, Usage};
use crate::queue::refusal;
use crate::store::Litter;

/// Gives the metrics their help texts.
pub fn describe() {
    describe_gauge!("holdfast_queue_depth", Unit::Count, "Invocations that wait, by agent type.");
    describe_gauge!("holdfast_queue_leased", Unit::Count, "Invocations that run, by agent type.");
    describe_gauge!(
        "holdfast_queue_oldest_age_seconds",
        Unit::Seconds,
        "Age of the oldest waiting invocation, by agent type."
    );
    describe_gauge!("holdfast_queue_depth_bytes", Unit::Bytes, "Bytes of the payloads that wait.");
    describe_histogram!(
        "holdfast_queue_wait_seconds",
        Unit::Seconds,
        "Time that invocations could have run and waited for a worker, by agent type: one for each lease."
    );
    describe_gauge!(
        "holdfast_queue_drain_rate",
        Unit::CountPerSecond,
        "Invocations that end in a second, by agent type; of several queues on one store, at each."
    );
    describe_counter!(
        "holdfast_queue_accepted_total",
        Unit::Count,
        "Invocations accepted: new ones, once they are durable."
    );
    // A counter that has not counted yet is 0, not absent.
    counter!("holdfast_queue_accepted_total").increment(0);
    describe_counter!(
        "holdfast_queue_refused_total",
        Unit::Count,
        "Submissions for which there was no room, by limit and mark."
    );
    describe_counter!("holdfast_queue_ended_total", Unit::Count, "Invocations that ended, by state.");
    describe_counter!("holdfast_queue_leases_lost_total", Unit::Count, "Leases whose worker was lost.");
    describe_counter!("holdfast_queue_retries_total", Unit::Count, "Failed attempts that are repeated.");
    describe_counter!("holdfast_queue_dead_total", Unit::Count, "Invocations that ran out of attempts.");
    describe_counter!("holdfast_queue_redriven_total", Unit::Count, "Ended invocations that were redriven.");
    describe_counter!(
        "holdfast_queue_discarded_total",
        Unit::Count,
        "What was removed for its age: invocations, what workers told of an invocation, keys, sessions."
    );
    describe_counter!("holdfast_queue_fences_raised_total", Unit::Count, "Fences raised in state.");
    describe_histogram!(
        "holdfast_queue_invocation_tokens",
        Unit::Count,
        "Model tokens of an invocation over all attempts, as its workers reported them, by agent type and direction."
    );
    describe_counter!(
        "holdfast_queue_untold_total",
        Unit::Count,
        "Attempts and waits of which traces are not told: too many were to be read from the store, or it had no answer."
    );
    counter!("holdfast_queue_untold_total").increment(0);
    describe_gauge!("holdfast_circuit_state", Unit::Count, "A circuit breaker: 0 closed, 1 half-open, 2 open.");
    describe_counter!("holdfast_circuit_transitions_total", Unit::Count, "Changes of a circuit breaker by new state.");
    describe_histogram!("holdfast_queue_commit_size", Unit::Count, "Commands in one transaction.");
    describe_histogram!("holdfast_queue_commit_seconds", Unit::Seconds, "How long one transaction took.");
}

pub(crate) fn committed(commands: usize, took: Duration) {
    histogram!("holdfast_queue_commit_size").record(commands as f64);
    histogram!("holdfast_queue_commit_seconds").record(took.as_secs_f64());
}

pub(crate) fn accepted(invocations: usize) {
    if invocations > 0 {
        counter!("holdfast_queue_accepted_total").increment(invocations as u64);
    }
}

pub(crate) fn full(full: &Full) {
    let mark = match full.mark {
        Mark::Soft => "soft",
        Mark::Hard => "hard",
    };
    counter!("holdfast_queue_refused_total", "limit" => refusal::limit(full), "mark" => mark).increment(1);
}

pub(crate) fn ended(status: Status) {
    let state = match status {
        Status::Succeeded => "succeeded",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
        Status::Dead => "dead",
        Status::Queued | Status::Leased => return,
    };
    counter!("holdfast_queue_ended_total", "state" => state).increment(1);
    if status == Status::Dead {
        counter!("holdfast_queue_dead_total").increment(1);
    }
}

/// What is over and could not be told.
pub(crate) fn untold() {
    counter!("holdfast_queue_untold_total").increment(1);
}

pub(crate) fn lease_lost() {
    counter!("holdfast_queue_leases_lost_total").increment(1);
}

pub(crate) fn retried() {
    counter!("holdfast_queue_retries_total").increment(1);
}

/// One waits again that had ended.
pub(crate) fn redriven() {
    counter!("holdfast_queue_redriven_total").increment(1);
}

/// What the retention has removed.
pub(crate) fn discarded(litter: Litter, count: u64) {
    let what = match litter {
        Litter::Invocations | Litter::Excess { .. } => "invocations",
        Litter::Reports => "reports",
        Litter::Keys => "keys",
        Litter::Sessions => "sessions",
    };
    if count > 0 {
        counter!("holdfast_queue_discarded_total", "what" => what).increment(count);
    }
}

pub(crate) fn fences_raised(count: usize) {
    counter!("holdfast_queue_fences_raised_total").increment(count as u64);
}

/// A circuit breaker changed.
pub(crate) fn circuit_changed(circuit: &'static str, state: State) {
    let to = match state {
        State::Closed => "closed",
        State::HalfOpen => "half_open",
        State::Open => "open",
    };
    counter!("holdfast_circuit_transitions_total", "circuit" => circuit, "to" => to).increment(1);
    circuit_stands(circuit, state);
}

/// How a circuit breaker stands.
pub(crate) fn circuit_stands(circuit: &'static str, state: State) {
    let level = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    gauge!("holdfast_circuit_state", "circuit" => circuit).set(level);
}

/// The first work of an agent type has come.
pub(crate) fn appeared(agent: &str) {
    depth(agent, 1, 0, Duration::ZERO);
    drains(agent, 0.0);
}

/// How much there is of an agent type.
pub(crate) fn depth(agent: &str, queued: u64, leased: u64, oldest: Duration) {
    gauge!("holdfast_queue_depth", "agent" => agent.to_owned()).set(queued as f64);
    gauge!("holdfast_queue_leased", "agent" => agent.to_owned()).set(leased as f64);
    gauge!("holdfast_queue_oldest_age_seconds", "agent" => agent.to_owned()).set(oldest.as_secs_f64());
}

/// How many of an agent type end in a second.
pub(crate) fn drains(agent: &str, per_second: f64) {
    gauge!("holdfast_queue_drain_rate", "agent" => agent.to_owned()).set(per_second);
}

/// How long those of an agent type wait.
pub(crate) fn waits(agent: &str) -> Histogram {
    histogram!("holdfast_queue_wait_seconds", "agent" => agent.to_owned())
}

/// What the invocations of an agent type use of models.
#[derive(Debug)]
pub(crate) struct Tokens {
    input: Histogram,
    output: Histogram,
}

impl Tokens {
    pub(crate) fn of(agent: &str) -> Self {
        let histogram = |direction: &'static str| histogram!("holdfast_queue_invocation_tokens", "agent" => agent.to_owned(), "direction" => direction);
        Self { input: histogram("input"), output: histogram("output") }
    }

    /// One has ended; nothing is counted of those that reported none.
    pub(crate) fn used(&self, usage: Usage) {
        if usage != Usage::default() {
            self.input.record(usage.input_tokens as f64);
            self.output.record(usage.output_tokens as f64);
        }
    }
}

/// How much there is in all.
pub(crate) fn waiting(bytes: u64) {
    gauge!("holdfast_queue_depth_bytes").set(bytes as f64);
}
