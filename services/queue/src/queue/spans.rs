//! The queue's own part of an invocation's trace: its acceptance, and each wait for a worker. Acceptances come by the
//! hundred on one stream and end with a commit, and a wait is nobody's task, so these spans stand apart from the tasks.

use holdfast_rpc::Error;
use holdfast_telemetry::apart::{self, OpenSpan};
use holdfast_telemetry::traceparent;

use super::enqueue::Submission;
use super::tag::Enqueued;
use crate::domain::invocation::Accepted;
use crate::domain::time::Micros;
use crate::store::Claimed;

/// Opens the span of an acceptance. Where the caller has no trace, it begins the invocation's.
pub(super) fn accepting(submission: &mut Submission) -> Option<OpenSpan> {
    let span = apart::open(&submission.traceparent, ("enqueue", &submission.agent), &[])?;
    if traceparent::parse(&submission.traceparent).is_none() {
        submission.traceparent = span.traceparent();
    }
    Some(span)
}

/// Ends the span of an acceptance: durable now, or refused.
pub(super) fn accepted(span: Option<OpenSpan>, outcome: &Result<Enqueued, Error>) {
    let Some(mut span) = span else { return };
    match outcome {
        Ok(Enqueued { id, created }) => {
            span.set(("invocation_id", id));
            span.set(("holdfast.queue.created", created));
        }
        Err(error) => span.fail(error.reason()),
    }
}

/// Tells how long an attempt has waited: since the acceptance, or since the attempt before it ended.
pub(super) fn waited(accepted: &Accepted, claimed: &Claimed, now: Micros) {
    let since = claimed.tries.last().map_or(accepted.at, |last| last.ended_at);
    let live = &claimed.live;
    // A lost lease uses up no attempt: only with the number of those lost does each wait have a name.
    let attributes: [apart::Attribute<'_>; 3] =
        [("invocation_id", &accepted.id), ("attempt", &live.attempt), ("lost_leases", &live.lost)];
    apart::past(&accepted.traceparent, ("queue.wait", &accepted.agent), &attributes, since, now);
}
