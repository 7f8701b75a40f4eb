//! What the gateway counts beside requests, errors and latency, which every server counts.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Gives the metrics their help texts.
pub(crate) fn describe() {
    describe_gauge!("holdfast_gateway_queue_link_up", Unit::Count, "1 while the stream to the queue is open, else 0.");
    describe_gauge!(
        "holdfast_gateway_open_calls",
        Unit::Count,
        "Submits under way and callers that wait for an invocation's end."
    );
    describe_counter!(
        "holdfast_gateway_refused_total",
        Unit::Count,
        "Calls refused before the queue was asked, by reason."
    );
    describe_counter!(
        "holdfast_gateway_slow_readers_total",
        Unit::Count,
        "Readers of answers and streams that were dropped for leaving too much unread."
    );
}

pub(crate) fn slow_reader() {
    counter!("holdfast_gateway_slow_readers_total").increment(1);
}

pub(crate) fn link_is_up(up: bool) {
    gauge!("holdfast_gateway_queue_link_up").set(f64::from(u8::from(up)));
}

pub(crate) fn calls_open(calls: usize) {
    gauge!("holdfast_gateway_open_calls").set(calls as f64);
}

pub(crate) fn refused(reason: &'static str) {
    counter!("holdfast_gateway_refused_total", "reason" => reason).increment(1);
}
