//! From the domain to the wire.

use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::time;
use pb::invocation_event::{Chunk, Dropped, Event as PbEvent, Progress, StateChanged};

use crate::domain::event::{Event, Report, What};
use crate::domain::invocation::{Accepted, Failure, Payload, Status, Usage};
use crate::domain::record::{Live, Outcome, PastEnd, Phase, Record, Standing, Try};
use crate::domain::retry::RetryPolicy;
use crate::queue::{AgentDepth, Enqueued, Grant, NotThis, Page, RedriveAnswer, Renewal};

impl From<Enqueued> for pb::EnqueueResponse {
    fn from(enqueued: Enqueued) -> Self {
        Self { invocation_id: enqueued.id.to_string(), created: enqueued.created }
    }
}

impl From<Payload> for pb::Payload {
    fn from(payload: Payload) -> Self {
        Self { data: payload.data, content_type: payload.content_type }
    }
}

impl From<Failure> for pb::Failure {
    fn from(failure: Failure) -> Self {
        Self { reason: failure.reason, message: failure.message, retryable: failure.retryable }
    }
}

impl From<Usage> for pb::Usage {
    fn from(usage: Usage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
    }
}

impl From<Grant> for pb::Lease {
    fn from(grant: Grant) -> Self {
        Self {
            token: grant.token.to_string(),
            ttl: Some(time::duration(grant.ttl)),
            traceparent: grant.traceparent,
            fence: grant.fence,
            earlier_leases: match &grant.record.standing {
                Standing::Live(live) => live.tries + live.redrives,
                Standing::Ended(_) => 0,
            },
            invocation: Some(invocation(grant.record)),
        }
    }
}

impl From<Page> for pb::ListInvocationsResponse {
    fn from(page: Page) -> Self {
        Self {
            invocations: page.records.into_iter().map(invocation).collect(),
            next_page_token: page.next.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl From<RedriveAnswer> for pb::RedriveInvocationsResponse {
    fn from(answer: RedriveAnswer) -> Self {
        Self {
            invocation_ids: answer.redriven.iter().map(ToString::to_string).collect(),
            refusals: answer.refusals.into_iter().map(Into::into).collect(),
            next_page_token: answer.next.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl From<NotThis> for pb::redrive_invocations_response::Refusal {
    fn from(not: NotThis) -> Self {
        Self {
            invocation_id: not.id.to_string(),
            reason: not.reason.into(),
            message: not.message,
            retry_after: not.retry_after.map(time::duration),
        }
    }
}

impl From<AgentDepth> for pb::list_depths_response::Depth {
    fn from(depth: AgentDepth) -> Self {
        Self {
            agent: depth.agent.to_string(),
            queued: depth.queued,
            leased: depth.leased,
            oldest_age: (depth.queued > 0).then(|| time::duration(depth.oldest)),
        }
    }
}

impl From<Event> for pb::InvocationEvent {
    fn from(event: Event) -> Self {
        let what = match event.what {
            What::Status { status, attempt, failure } => PbEvent::StateChanged(StateChanged {
                state: state(status).into(),
                attempt,
                failure: failure.map(Into::into),
            }),
            What::Report(Report::Progress { message, fraction }) => PbEvent::Progress(Progress { message, fraction }),
            What::Report(Report::Chunk { attempt, data }) => PbEvent::Chunk(Chunk { attempt, data }),
            What::Dropped { first, count } => PbEvent::Dropped(Dropped { first_offset: first, count }),
        };
        Self { offset: event.offset, time: Some(time::timestamp(event.at)), event: Some(what) }
    }
}

pub(super) fn state(status: Status) -> pb::InvocationState {
    match status {
        Status::Queued => pb::InvocationState::Queued,
        Status::Leased => pb::InvocationState::Leased,
        Status::Succeeded => pb::InvocationState::Succeeded,
        Status::Failed => pb::InvocationState::Failed,
        Status::Cancelled => pb::InvocationState::Cancelled,
        Status::Dead => pb::InvocationState::Dead,
    }
}

pub(super) fn renewals(renewals: Vec<Renewal>) -> pb::HeartbeatResponse {
    let renewals = renewals
        .into_iter()
        .map(|renewal| {
            let (ttl, lost_reason) = match renewal.lease {
                Ok(ttl) => (Some(time::duration(ttl)), String::new()),
                Err(reason) => (None, reason.to_owned()),
            };
            pb::heartbeat_response::Renewal { token: renewal.token, ttl, lost_reason }
        })
        .collect();
    pb::HeartbeatResponse { renewals }
}

pub(super) fn invocation(record: Record) -> pb::Invocation {
    let accepted = &record.accepted;
    let mut invocation = pb::Invocation {
        id: accepted.id.to_string(),
        tenant: accepted.tenant.to_string(),
        state: state(record.standing.status()).into(),
        failed_attempts: record.tries.iter().filter_map(|tried| failed_attempt(&record, tried)).collect(),
        past_ends: record.past_ends.iter().map(past_end).collect(),
        created_at: Some(time::timestamp(accepted.at)),
        spec: Some(spec(accepted, record.payload)),
        ..Default::default()
    };
    match record.standing {
        Standing::Live(Live { phase, attempt, lost, started_at, .. }) => {
            invocation.attempt = attempt;
            invocation.lost_leases = lost;
            invocation.started_at = started_at.map(time::timestamp);
            if let Phase::Queued { next_at } = phase {
                invocation.next_attempt_at = next_at.map(time::timestamp);
            }
        }
        Standing::Ended(ended) => {
            invocation.attempt = ended.attempt;
            invocation.lost_leases = ended.lost;
            invocation.started_at = ended.started_at.map(time::timestamp);
            invocation.ended_at = Some(time::timestamp(ended.at));
            invocation.usage = Some(ended.usage.into());
            match ended.outcome {
                Outcome::Succeeded(result) => invocation.result = Some(result.into()),
                Outcome::Failed(failure) | Outcome::Cancelled(failure) | Outcome::Dead(failure) => {
                    invocation.failure = Some(failure.into());
                }
            }
        }
    }
    invocation
}

/// Leases that were handed back are no failures.
fn failed_attempt(record: &Record, tried: &Try) -> Option<pb::FailedAttempt> {
    let failure = tried.kind.failure()?.clone();
    Some(pb::FailedAttempt {
        attempt: tried.attempt,
        ended_at: Some(time::timestamp(tried.ended_at)),
        worker: tried.lease.worker.to_string(),
        failure: Some(failure.into()),
        redrives: record.redrives_before(tried.event) as u32,
    })
}

fn past_end(past: &PastEnd) -> pb::PastEnd {
    pb::PastEnd {
        state: state(past.ended.outcome.status()).into(),
        failure: past.ended.outcome.failure().cloned().map(Into::into),
        attempt: past.ended.attempt,
        ended_at: Some(time::timestamp(past.ended.at)),
        redriven_at: Some(time::timestamp(past.redriven_at)),
    }
}

fn spec(accepted: &Accepted, payload: Option<Payload>) -> pb::InvocationSpec {
    pb::InvocationSpec {
        agent: accepted.agent.to_string(),
        payload: payload.map(Into::into),
        session: accepted.session.clone().unwrap_or_default(),
        idempotency_key: accepted.idempotency_key.clone().unwrap_or_default(),
        priority: accepted.priority,
        not_before: accepted.not_before.map(time::timestamp),
        deadline: accepted.deadline.map(time::timestamp),
        retry_policy: Some(retry_policy(&accepted.retry)),
        labels: accepted.labels.clone().into_iter().collect(),
        parent_id: accepted.parent.map(|id| id.to_string()).unwrap_or_default(),
    }
}

fn retry_policy(policy: &RetryPolicy) -> pb::RetryPolicy {
    pb::RetryPolicy {
        max_attempts: policy.attempts_max,
        initial_backoff: Some(time::duration(policy.backoff.initial)),
        max_backoff: Some(time::duration(policy.backoff.max)),
        backoff_multiplier: policy.backoff.multiplier,
        non_retryable_reasons: policy.final_reasons.clone(),
    }
}
