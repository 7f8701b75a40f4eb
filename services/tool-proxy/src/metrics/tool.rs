//! The meters of one tool. To look a meter up by its labels costs more than to count: each is looked up once, when it first
//! counts, and what has never counted is not shown.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::domain::{Outcome, StandIn, Timing};

/// What calls come to: the outcomes in their order, then these two.
const REPLAYED: (usize, &str) = (6, "replayed");
const REFUSED: (usize, &str) = (7, "refused");

pub(super) fn describe() {
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
    describe_counter!(
        "holdfast_tool_fallbacks_total",
        Unit::Count,
        "Calls that something else stood in for, by what it was and why the tool itself did not answer."
    );
    describe_gauge!("holdfast_tool_running", Unit::Count, "Requests under way at a tool.");
    describe_gauge!("holdfast_tool_waiting", Unit::Count, "Calls in line for a place at a tool.");
    describe_counter!("holdfast_tool_cancelled_total", Unit::Count, "Calls whose callers went away before the answer.");
    describe_counter!(
        "holdfast_tool_truths_total",
        Unit::Count,
        "Results that became known after their outcome had been given up as unknown."
    );
}

/// The meters.
#[derive(Debug)]
pub(crate) struct Meters {
    tool: String,
    ended: [OnceLock<Counter>; 8],
    took: OnceLock<Histogram>,
    waited: OnceLock<Histogram>,
    requests: OnceLock<Counter>,
}

impl Meters {
    pub(crate) fn new(tool: &str) -> Self {
        Self {
            tool: tool.into(),
            ended: Default::default(),
            took: OnceLock::new(),
            waited: OnceLock::new(),
            requests: OnceLock::new(),
        }
    }

    /// A call came to an answer.
    pub(crate) fn answered(&self, outcome: Outcome, replayed: bool, timing: Timing, took: Duration) {
        self.end(if replayed { REPLAYED } else { (outcome as usize, outcome.name()) }, took);
        self.waited
            .get_or_init(|| histogram!("holdfast_tool_wait_seconds", "tool" => self.tool.clone()))
            .record(timing.waited);
        self.requests
            .get_or_init(|| counter!("holdfast_tool_requests_total", "tool" => self.tool.clone()))
            .increment(timing.attempts.into());
    }

    /// A call came to an error.
    pub(crate) fn refused(&self, took: Duration) {
        self.end(REFUSED, took);
    }

    fn end(&self, (place, outcome): (usize, &'static str), took: Duration) {
        self.ended[place]
            .get_or_init(|| counter!("holdfast_tool_calls_total", "tool" => self.tool.clone(), "outcome" => outcome))
            .increment(1);
        self.took.get_or_init(|| histogram!("holdfast_tool_call_seconds", "tool" => self.tool.clone())).record(took);
    }
}

/// Something stood in for the tool.
pub(crate) fn stood_in(tool: &str, stand_in: &StandIn, reason: &str) {
    counter!(
        "holdfast_tool_fallbacks_total",
        "tool" => tool.to_owned(), "kind" => stand_in.kind(), "reason" => reason.to_owned()
    )
    .increment(1);
}

/// A caller went away before the answer.
pub(crate) fn cancelled(tool: &str) {
    counter!("holdfast_tool_cancelled_total", "tool" => tool.to_owned()).increment(1);
}

/// A result came after its outcome had been given up.
pub(crate) fn truth_came_late(tool: &str) {
    counter!("holdfast_tool_truths_total", "tool" => tool.to_owned()).increment(1);
}

/// How many run at a tool, and how many wait.
pub(crate) fn places(tool: &str) -> (Gauge, Gauge) {
    let (running, waiting) = (
        gauge!("holdfast_tool_running", "tool" => tool.to_owned()),
        gauge!("holdfast_tool_waiting", "tool" => tool.to_owned()),
    );
    (running, waiting)
}
