//! Refusals, said once.

use std::time::Duration;

use holdfast_rpc::Error;
use holdfast_storage::{Class, Failure};
use uuid::Uuid;

use crate::domain::depth::{Full, Mark, Measure, Within};
use crate::domain::invocation::Status;
use crate::domain::transition::{CANCELLED, DEADLINE_PASSED, LEASE_LOST};
use crate::store::Gone;

/// When to come back to a queue that drains: another process, or the next one, is there by then.
const DRAINED_WITHIN: Duration = Duration::from_millis(500);

/// When to ask again whose a lease is: soon, for a broken stream has not long to come back.
const UNDECIDED_FOR: Duration = Duration::from_millis(500);

/// The store could not do it.
pub(crate) fn store(failure: &Failure) -> Error {
    let error = match failure.retry_after() {
        Some(delay) if failure.class() == Class::Overloaded => {
            Error::exhausted("more waits for the queue's store than may", delay)
        }
        Some(delay) => {
            let message = match failure.class() {
                Class::Full => "the queue's disk is full",
                Class::ReadOnly => "the queue's disk cannot be written",
                Class::Silent => "the queue's store does not answer",
                _ => "the queue's store is not available",
            };
            Error::unavailable(message, delay)
        }
        None => Error::internal(failure),
    };
    if failure.may_have_happened() { error.maybe_happened() } else { error }
}

/// There is no room: which limit was met, and when to come back.
pub(crate) fn full(full: Full, agent: &str, tenant: &str) -> Error {
    let limit = limit(&full);
    let whose = match full.within {
        Within::Total => "the queue".to_owned(),
        Within::Agent => format!("the queue of agent type {agent}"),
        Within::Tenant => format!("the queue of tenant {tenant}"),
    };
    let message = match full.mark {
        Mark::Hard => format!("{whose} is full ({limit})"),
        Mark::Soft => format!("{whose} is nearly full ({limit}), and tenant {tenant} holds more than its share of it"),
    };
    Error::exhausted(message, full.wait).about(limit)
}

/// The setting by which a limit is known.
pub(crate) fn limit(full: &Full) -> &'static str {
    match (full.within, full.measure) {
        (Within::Total, Measure::Items) => "queue.depth_max",
        (Within::Total, Measure::Bytes) => "queue.depth_bytes_max",
        (Within::Agent, Measure::Items) => "queue.agent_depth_max",
        (Within::Agent, Measure::Bytes) => "queue.agent_depth_bytes_max",
        (Within::Tenant, Measure::Items) => "queue.tenant_depth_max",
        (Within::Tenant, Measure::Bytes) => "queue.tenant_depth_bytes_max",
    }
}

/// The lease, or the invocation, is not there any more.
pub(crate) fn gone(gone: Gone, id: Uuid) -> Error {
    match gone {
        Gone::Unknown => unknown(id),
        Gone::LeaseLost | Gone::Cancelled | Gone::DeadlinePassed => {
            Error::precondition(reason(gone), format!("the lease of invocation {id} is over: {}", why(gone)))
        }
        Gone::Ended(status) => ended(id, status),
    }
}

/// There is no such invocation, or it is another tenant's, which is the same to who asks.
pub(crate) fn unknown(id: Uuid) -> Error {
    Error::not_found(format_args!("invocation {id}"))
}

/// The word by which programs know why a lease is over.
pub(crate) fn reason(gone: Gone) -> &'static str {
    match gone {
        Gone::Cancelled | Gone::Ended(Status::Cancelled) => CANCELLED,
        Gone::DeadlinePassed => DEADLINE_PASSED,
        Gone::Unknown | Gone::LeaseLost | Gone::Ended(_) => LEASE_LOST,
    }
}

/// Whose a lease is cannot be told just now.
pub(crate) fn unsure() -> Error {
    Error::unavailable("the queue's store does not say whose the lease is", DRAINED_WITHIN)
}

/// Whose a lease is cannot be said now.
pub(crate) fn undecided() -> Error {
    Error::unavailable("the queue's store does not say who holds which lease", UNDECIDED_FOR)
}

/// The queue begins nothing new.
pub(crate) fn draining() -> Error {
    Error::unavailable("the queue is draining", DRAINED_WITHIN)
}

fn ended(id: Uuid, status: Status) -> Error {
    Error::precondition("ALREADY_ENDED", format!("invocation {id} has ended already: {status:?}"))
}

fn why(gone: Gone) -> &'static str {
    match gone {
        Gone::Cancelled => "the invocation was cancelled",
        Gone::DeadlinePassed => "the invocation's deadline passed",
        Gone::Unknown | Gone::LeaseLost | Gone::Ended(_) => "it was freed, or somebody else has ended the work",
    }
}
