//! What the pool counts.

use holdfast_sdk::Usage;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const TOKENS: &str = "holdfast_agent_invocation_tokens";
const STEPS: &str = "holdfast_agent_steps_total";
const RUNNING: &str = "holdfast_agent_running_invocations";
const ENDED: &str = "holdfast_agent_attempts_total";

pub(crate) fn describe() {
    describe_histogram!(
        TOKENS,
        Unit::Count,
        "Model tokens of an invocation over all attempts, by agent and direction."
    );
    describe_counter!(STEPS, Unit::Count, "Steps done (not those that were found recorded), by agent and kind.");
    describe_gauge!(RUNNING, Unit::Count, "Invocations that run now, by agent.");
    describe_counter!(
        ENDED,
        Unit::Count,
        "Attempts that ended, by agent and outcome: succeeded, failed, retried, stopped (its lease was lost)."
    );
}

/// Shows an agent's metrics from the start, at nothing.
pub(crate) fn declare(agent: &str) {
    gauge!(RUNNING, "agent" => agent.to_owned()).set(0.0);
    for kind in ["model", "tools"] {
        counter!(STEPS, "agent" => agent.to_owned(), "kind" => kind).increment(0);
    }
    for direction in ["input", "output"] {
        // Registered by being named.
        let _ = histogram!(TOKENS, "agent" => agent.to_owned(), "direction" => direction);
    }
}

/// A step's half that was done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Model,
    Tools,
}

pub(crate) fn step(agent: &str, kind: Kind) {
    let kind = match kind {
        Kind::Model => "model",
        Kind::Tools => "tools",
    };
    counter!(STEPS, "agent" => agent.to_owned(), "kind" => kind).increment(1);
}

/// An attempt that runs; it counts as stopped unless it says how it ended.
#[derive(Debug)]
pub(crate) struct Running {
    agent: String,
    outcome: &'static str,
}

impl Running {
    pub(crate) fn begin(agent: &str) -> Self {
        gauge!(RUNNING, "agent" => agent.to_owned()).increment(1.0);
        Self { agent: agent.to_owned(), outcome: "stopped" }
    }

    /// The invocation has ended with this attempt.
    pub(crate) fn ended(mut self, succeeded: bool, usage: Usage) {
        self.outcome = if succeeded { "succeeded" } else { "failed" };
        for (direction, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            histogram!(TOKENS, "agent" => self.agent.clone(), "direction" => direction).record(tokens as f64);
        }
    }

    /// Another attempt follows.
    pub(crate) fn failed(mut self) {
        self.outcome = "retried";
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        gauge!(RUNNING, "agent" => self.agent.clone()).decrement(1.0);
        counter!(ENDED, "agent" => std::mem::take(&mut self.agent), "outcome" => self.outcome).increment(1);
    }
}
