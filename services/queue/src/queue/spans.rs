//! The queue's own part of an invocation's trace: its acceptance, each wait for a worker, and each attempt. Acceptances come
//! by the hundred on one stream and end with a commit, and a wait is nobody's task, so these spans stand apart from tasks.
//!
//! The attempt is told here and not by its worker: a worker that is killed tells nothing, and all that the attempt called
//! would be left without a parent. Its span has an id from the beginning, made of its lease's, so that calls can stand below
//! it; and whichever process sees the lease end tells it.

mod reading;

use holdfast_rpc::Error;
use holdfast_telemetry::apart::{self, OpenSpan, Past, Value};
use holdfast_telemetry::traceparent;
use uuid::Uuid;

pub(super) use self::reading::Reading;
use super::Shared;
use super::core::Core;
use super::enqueue::Submission;
use super::tag::Enqueued;
use crate::domain::invocation::{Accepted, Lease, Usage};
use crate::domain::leases::Origin;
use crate::domain::record::{Ended, Outcome, PastEnd, Record, Standing, Try, TryKind};
use crate::domain::time::Micros;
use crate::domain::transition::Step;
use crate::store::Claimed;

/// Opens the span of an acceptance. Where the caller has no trace, it begins the invocation's.
pub(super) fn accepting(submission: &mut Submission) -> Option<OpenSpan> {
    let span = apart::open(&submission.traceparent, ("enqueue", &submission.agent))?;
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
            span.set(("invocation_id", Value::Text(id)));
            span.set(("holdfast.queue.created", Value::Text(created)));
        }
        Err(error) => span.fail(error.reason()),
    }
}

/// Tells how long an attempt has waited: since the acceptance, or since what came before it ended.
pub(super) fn waited(accepted: &Accepted, claimed: &Claimed, now: Micros) {
    let (live, last) = (&claimed.live, claimed.tries.last());
    let since = since(&claimed.tries, &claimed.past_ends).unwrap_or(accepted.at);
    // It was not to begin earlier: that part of the wait is nobody's fault.
    let not_before = last.map_or(accepted.not_before, |last| last.next_at).unwrap_or(since);
    let held_back = not_before.clamp(since, now.max(since)) - since;
    // A lost lease uses up no attempt: only with the number of those lost does each wait have a name.
    let attributes = [
        ("invocation_id", Value::Text(&accepted.id)),
        ("attempt", Value::Number(live.attempt.into())),
        ("lost_leases", Value::Number(live.lost.into())),
        ("holdfast.queue.held_back_ms", Value::Number(held_back.unsigned_abs() / 1_000)),
    ];
    let name = ("queue.wait", &*accepted.agent);
    apart::past(&accepted.traceparent, &Past { name, attributes: &attributes, error: None, began: since, ended: now });
}

/// The `traceparent` under which an attempt's worker stands.
pub(crate) fn attempt(accepted: &Accepted, lease: Uuid) -> String {
    apart::below(&accepted.traceparent, span_id(lease)).unwrap_or_else(|| accepted.traceparent.clone())
}

/// What must be known of a lease in order to tell its attempt.
pub(super) fn origin(accepted: &Accepted) -> Origin {
    if !apart::is_recorded(&accepted.traceparent) {
        return Origin::Unrecorded;
    }
    let session = accepted.session.as_deref().map(Into::into);
    Origin::Of { traceparent: accepted.traceparent.as_str().into(), session }
}

/// The random half of a UUIDv7.
const fn span_id(lease: Uuid) -> [u8; 8] {
    lease.as_u64_pair().1.to_be_bytes()
}

/// What one step ended: an attempt, or a wait that came to nothing.
#[derive(Debug)]
pub(super) struct Over {
    id: Uuid,
    /// None where it ended while it waited.
    lease: Option<Lease>,
    attempt: u32,
    outcome: &'static str,
    error: Option<String>,
    usage: Usage,
    /// When it was waited for last, where that was not since its acceptance.
    waited_since: Option<Micros>,
    at: Micros,
}

impl Over {
    /// What a step ended; nothing where nobody would be told.
    pub(super) fn by(id: Uuid, step: &Step, tries: &[Try], past_ends: &[PastEnd]) -> Option<Self> {
        if !apart::is_wanted() {
            return None;
        }
        Some(match step {
            Step::Requeued { tried, .. } => Self::of_try(id, tried),
            Step::Ended { ended, tried, .. } => {
                let attempt = tried.as_ref().map_or(ended.attempt, |tried| tried.attempt);
                Self { waited_since: since(tries, past_ends), ..Self::of_end(id, ended, attempt) }
            }
        })
    }

    /// What the last lease of an invocation came to, by its record.
    fn last_of(record: &Record) -> Option<Self> {
        let (id, last) = (record.accepted.id, record.tries.last());
        match &record.standing {
            Standing::Ended(ended) => {
                let lease = ended.lease.as_ref()?;
                let own = last.filter(|tried| tried.lease.id == lease.id);
                Some(Self::of_end(id, ended, own.map_or(ended.attempt, |tried| tried.attempt)))
            }
            Standing::Live(_) => last.map(|tried| Self::of_try(id, tried)),
        }
    }

    fn of_try(id: Uuid, tried: &Try) -> Self {
        Self {
            id,
            lease: Some(tried.lease.clone()),
            attempt: tried.attempt,
            outcome: match tried.kind {
                TryKind::Failed(_) => "failed",
                TryKind::Lost(_) => "lost",
                TryKind::Released => "released",
            },
            error: tried.kind.failure().map(|failure| failure.reason.clone()),
            usage: Usage::default(),
            waited_since: None,
            at: tried.ended_at,
        }
    }

    fn of_end(id: Uuid, ended: &Ended, attempt: u32) -> Self {
        Self {
            id,
            lease: ended.lease.clone(),
            attempt,
            outcome: match ended.outcome {
                Outcome::Succeeded(_) => "succeeded",
                Outcome::Failed(_) => "failed",
                Outcome::Cancelled(_) => "cancelled",
                Outcome::Dead(_) => "dead",
            },
            error: ended.outcome.failure().map(|failure| failure.reason.clone()),
            usage: ended.usage,
            waited_since: None,
            at: ended.at,
        }
    }

    fn tell(&self, agent: &str, (traceparent, session): (&str, Option<&str>), accepted_at: Micros) {
        let (id, error) = (Value::Text(&self.id), self.error.as_deref());
        let Some(lease) = &self.lease else {
            let attributes = [("invocation_id", id), ("holdfast.outcome", Value::Text(&self.outcome))];
            let began = self.waited_since.unwrap_or(accepted_at);
            let past = Past { name: ("queue.wait", agent), attributes: &attributes, error, began, ended: self.at };
            return apart::past(traceparent, &past);
        };
        let mut attributes = vec![
            ("gen_ai.operation.name", Value::Text(&"invoke_agent")),
            ("gen_ai.agent.name", Value::Text(&agent)),
            ("invocation_id", id),
            ("attempt", Value::Number(self.attempt.into())),
            ("holdfast.worker", Value::Text(&lease.worker)),
            ("holdfast.outcome", Value::Text(&self.outcome)),
            // Its model calls tell their own by the conventions' names: whoever adds those up must not count twice.
            ("holdfast.usage.input_tokens", Value::Number(self.usage.input_tokens)),
            ("holdfast.usage.output_tokens", Value::Number(self.usage.output_tokens)),
        ];
        attributes.extend(session.as_ref().map(|session| ("gen_ai.conversation.id", Value::Text(session))));
        let (name, attributes) = (("invoke_agent", agent), &*attributes);
        let past = Past { name, attributes, error, began: lease.at, ended: self.at };
        apart::past_as(traceparent, span_id(lease.id), &past);
    }
}

impl Shared {
    /// Tells what is over, while memory still has it.
    pub(super) fn tell_over(&self, core: &Core, over: Over) {
        let held = over.lease.as_ref().and_then(|lease| core.leases.get(lease.id));
        match held.map(|held| (&held.origin, held)) {
            Some((Origin::Unrecorded, _)) => {}
            Some((Origin::Of { traceparent, session }, held)) => {
                over.tell(&held.agent, (traceparent, session.as_deref()), over.at);
            }
            // An earlier life of this process granted the lease, or another process, or nobody: the store knows of what.
            Some((Origin::Unread, _)) | None => self.read_and_tell(over),
        }
    }
}

/// Since when what has a history waits.
fn since(tries: &[Try], past_ends: &[PastEnd]) -> Option<Micros> {
    tries.last().map(|last| last.ended_at).max(past_ends.last().map(|end| end.redriven_at))
}
