//! Letting what ended run again.

mod again;

use std::collections::HashMap;
use std::time::Duration;

use holdfast_proto::queue::v1::invocation_event::Event;
use holdfast_proto::queue::v1::redrive_invocations_request::Filter;
use holdfast_proto::queue::v1::{
    CancelInvocationRequest, CompleteRequest, FailRequest, Failure, InvocationSpec, InvocationState,
    RedriveInvocationsRequest, RedriveInvocationsResponse, RetryPolicy,
};
use holdfast_rpc::status;
use tonic::{Code, Status};

use crate::harness::{Harness, as_tenant, id_of, in_future, in_session, spec};
use crate::worker::Worker;

fn once() -> Option<RetryPolicy> {
    Some(RetryPolicy { max_attempts: 1, ..Default::default() })
}

fn mortal() -> InvocationSpec {
    InvocationSpec { retry_policy: once(), ..spec() }
}

fn named(ids: &[&str]) -> RedriveInvocationsRequest {
    let invocation_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    RedriveInvocationsRequest { invocation_ids, ..Default::default() }
}

fn like(filter: Filter) -> RedriveInvocationsRequest {
    RedriveInvocationsRequest { filter: Some(filter), ..Default::default() }
}

fn reasons(answer: &RedriveInvocationsResponse) -> Vec<&str> {
    answer.refusals.iter().map(|refusal| refusal.reason.as_str()).collect()
}

impl Harness {
    async fn redrive(&self, request: RedriveInvocationsRequest) -> RedriveInvocationsResponse {
        self.try_redrive(request).await.unwrap()
    }

    async fn try_redrive(&self, request: RedriveInvocationsRequest) -> Result<RedriveInvocationsResponse, Status> {
        Ok(self.client().redrive_invocations(as_tenant(request, "default")).await?.into_inner())
    }

    async fn fail(&self, token: &str, reason: &str) {
        let failure = Failure { reason: reason.into(), message: "why".into(), retryable: true };
        let request = FailRequest { token: token.into(), failure: Some(failure), usage: None };
        self.client().fail(request).await.unwrap();
    }

    async fn complete(&self, token: &str) {
        self.client().complete(CompleteRequest { token: token.into(), ..Default::default() }).await.unwrap();
    }

    /// Submits one that fails for good at its only attempt.
    async fn dead(&self, spec: InvocationSpec) -> String {
        let id = self.enqueue(InvocationSpec { retry_policy: once(), ..spec }).await;
        let lease = self.lease_one().await;
        assert_eq!(id_of(&lease), id);
        self.fail(&lease.token, "BUSY").await;
        id
    }
}

#[tokio::test]
async fn a_dead_letter_is_redriven_to_a_worker_that_waits_and_keeps_every_error() {
    let mut queue = Harness::start().await;
    let id = queue.dead(mortal()).await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let answer = queue.redrive(named(&[&id])).await;
    assert_eq!((answer.invocation_ids, answer.refusals.len()), (vec![id.clone()], 0));
    let lease = worker.lease().await;
    let leased = lease.invocation.as_ref().unwrap();
    assert_eq!((leased.id.as_str(), leased.attempt, leased.failed_attempts.len()), (id.as_str(), 1, 1));
    worker.complete(&lease, "now");
    worker.settled().await;
    for _ in 0..2 {
        let done = queue.get(&id).await;
        assert_eq!((done.state(), done.attempt, done.lost_leases), (InvocationState::Succeeded, 1, 0));
        assert_eq!(done.failed_attempts[0].failure.as_ref().unwrap().reason, "BUSY");
        assert_eq!((done.failed_attempts[0].redrives, done.past_ends.len()), (0, 1));
        assert_eq!(done.past_ends[0].state(), InvocationState::Dead);
        assert!(done.past_ends[0].redriven_at.is_some() && done.past_ends[0].ended_at.is_some());
        queue.restart().await;
    }
}

#[tokio::test]
async fn a_watcher_sees_the_redrive_as_an_event_of_its_own_with_offsets_that_rise() {
    let queue = Harness::start().await;
    let id = queue.dead(mortal()).await;
    queue.redrive(named(&[&id])).await;
    // The dead letter's end was the fourth event.
    let mut events = queue.watch(&id, 3).await;
    let lease = queue.lease_one().await;
    queue.complete(&lease.token).await;
    let mut seen = Vec::new();
    while let Some(message) = events.message().await.unwrap() {
        let event = message.event.unwrap();
        let Some(Event::StateChanged(changed)) = &event.event else { panic!("{event:?}") };
        seen.push((event.offset, changed.state(), changed.attempt));
    }
    let expected = [
        (3, InvocationState::Dead, 1),
        (4, InvocationState::Queued, 0),
        (5, InvocationState::Leased, 1),
        (6, InvocationState::Succeeded, 1),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_watcher_that_waits_for_the_redriven_goes_on_with_it() {
    let queue = Harness::start().await;
    let id = queue.dead(mortal()).await;
    queue.redrive(named(&[&id])).await;
    let mut events = queue.watch(&id, 4).await;
    assert_eq!(events.message().await.unwrap().unwrap().event.unwrap().offset, 4);
    let lease = queue.lease_one().await;
    queue.fail(&lease.token, "BUSY").await;
    let mut last = None;
    while let Some(message) = events.message().await.unwrap() {
        last = message.event;
    }
    assert_eq!(last.unwrap().offset, 6, "the stream ends with the new end");
}

#[tokio::test]
async fn members_of_a_session_are_redriven_in_their_old_order_behind_those_who_wait() {
    let queue = Harness::start().await;
    let first = queue.dead(in_session("s")).await;
    let second = queue.dead(in_session("s")).await;
    let waiting = queue.enqueue(in_session("s")).await;
    // Named in another order than they came.
    queue.redrive(named(&[&second, &first])).await;
    for expected in [&waiting, &first, &second] {
        let lease = queue.lease_one().await;
        assert_eq!(id_of(&lease), expected);
        assert!(queue.lease_now(10).await.is_empty(), "one at a time");
        queue.complete(&lease.token).await;
    }
}

#[tokio::test]
async fn the_fence_of_a_redriven_invocation_rises_above_that_of_its_last_holder() {
    let mut queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let before = queue.lease_one().await;
    let cancel = CancelInvocationRequest { invocation_id: id.clone(), reason: String::new() };
    queue.client().cancel_invocation(cancel).await.unwrap();
    queue.redrive(named(&[&id])).await;
    queue.restart().await;
    let after = queue.lease_one().await;
    assert!(after.fence > before.fence);
    let late = CompleteRequest { token: before.token, ..Default::default() };
    let refused = queue.client().complete(late).await.unwrap_err();
    assert_eq!(status::reason(&refused).as_deref(), Some("CANCELLED"), "its old holder learns why");
    queue.complete(&after.token).await;
}

#[tokio::test]
async fn a_filter_redrives_a_page_at_a_time_the_oldest_first() {
    let queue = Harness::start().await;
    let labelled =
        |team: &str| InvocationSpec { labels: HashMap::from([("team".to_owned(), team.to_owned())]), ..mortal() };
    let mut risk = Vec::new();
    for n in 0..5 {
        let id = queue.dead(labelled(if n == 2 { "care" } else { "risk" })).await;
        if n != 2 {
            risk.push(id);
        }
    }
    let filter = Filter { labels: HashMap::from([("team".into(), "risk".into())]), ..Default::default() };
    let dry = RedriveInvocationsRequest { dry_run: true, ..like(filter.clone()) };
    assert_eq!(queue.redrive(dry).await.invocation_ids, risk);
    assert!(queue.lease_now(10).await.is_empty(), "nothing was redriven");

    let page = RedriveInvocationsRequest { limit: 3, ..like(filter.clone()) };
    let answer = queue.redrive(page.clone()).await;
    assert_eq!(answer.invocation_ids, risk[..3]);
    assert!(!answer.next_page_token.is_empty());
    let rest = queue.redrive(RedriveInvocationsRequest { page_token: answer.next_page_token, ..page }).await;
    assert_eq!((rest.invocation_ids, rest.next_page_token), (risk[3..].to_vec(), String::new()));
    assert_eq!(queue.lease_now(10).await.len(), 4);
}

#[tokio::test]
async fn a_filter_takes_what_ended_in_the_states_and_times_asked_for() {
    let queue = Harness::start().await;
    let dead = queue.dead(mortal()).await;
    let cancelled = queue.enqueue(spec()).await;
    let cancel = CancelInvocationRequest { invocation_id: cancelled.clone(), reason: String::new() };
    queue.client().cancel_invocation(cancel).await.unwrap();
    let dry = |filter| RedriveInvocationsRequest { dry_run: true, ..like(filter) };
    let states = |states: &[InvocationState]| states.iter().map(|state| *state as i32).collect();
    assert_eq!(queue.redrive(dry(Filter::default())).await.invocation_ids, [dead.as_str()], "DEAD is the default");
    let both = Filter {
        states: states(&[InvocationState::Dead, InvocationState::Cancelled]),
        ended_before: Some(in_future(Duration::from_secs(60))),
        ..Default::default()
    };
    assert_eq!(queue.redrive(dry(both.clone())).await.invocation_ids, [dead, cancelled]);
    let later = Filter { ended_after: Some(in_future(Duration::from_secs(60))), ..both };
    assert!(queue.redrive(dry(later)).await.invocation_ids.is_empty());
    let succeeded = Filter { states: states(&[InvocationState::Succeeded]), ..Default::default() };
    let refused = queue.try_redrive(like(succeeded)).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("filter.states"));
}

#[tokio::test]
async fn each_that_cannot_be_redriven_is_told_with_its_reason() {
    let queue = Harness::start().await;
    let done = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    queue.complete(&lease.token).await;
    let running = queue.enqueue(spec()).await;
    queue.lease_one().await;
    let queued = queue.enqueue(spec()).await;
    let unknown = holdfast_rpc::id::new();
    let answer = queue.redrive(named(&[&done, &running, &queued, &unknown])).await;
    assert!(answer.invocation_ids.is_empty());
    let told: HashMap<&str, &str> =
        answer.refusals.iter().map(|refusal| (refusal.invocation_id.as_str(), refusal.reason.as_str())).collect();
    assert_eq!(told[done.as_str()], "SUCCEEDED");
    assert_eq!((told[running.as_str()], told[queued.as_str()]), ("NOT_ENDED", "NOT_ENDED"));
    assert_eq!(told[unknown.as_str()], "NOT_FOUND");
}

#[tokio::test]
async fn a_repeat_of_the_same_call_redrives_nothing_twice() {
    let queue = Harness::start().await;
    let id = queue.dead(mortal()).await;
    let call = RedriveInvocationsRequest { redrive_id: holdfast_rpc::id::new(), ..named(&[&id]) };
    assert_eq!(queue.redrive(call.clone()).await.invocation_ids, [id.as_str()]);
    let lease = queue.lease_one().await;
    assert_eq!(queue.redrive(call.clone()).await.invocation_ids, [id.as_str()], "while it runs");
    queue.fail(&lease.token, "BUSY").await;
    assert_eq!(queue.redrive(call).await.invocation_ids, [id.as_str()], "and when it is dead again");
    assert_eq!(queue.state(&id).await, InvocationState::Dead, "which it stays");
    assert_eq!(queue.get(&id).await.past_ends.len(), 1);
}

#[tokio::test]
async fn a_passed_deadline_is_lifted_or_replaced() {
    let queue = Harness::start().await;
    let deadline = Some(in_future(Duration::from_millis(50)));
    let id = queue.enqueue(InvocationSpec { deadline, ..spec() }).await;
    let mut events = queue.watch(&id, 0).await;
    while events.message().await.unwrap().is_some() {}
    queue.redrive(named(&[&id])).await;
    let lease = queue.lease_one().await;
    assert_eq!(lease.invocation.as_ref().unwrap().spec.as_ref().unwrap().deadline, None);
    queue.fail(&lease.token, "BUSY").await;
    let cancel = CancelInvocationRequest { invocation_id: id.clone(), reason: String::new() };
    queue.client().cancel_invocation(cancel).await.unwrap();

    let deadline = Some(in_future(Duration::from_millis(50)));
    queue.redrive(RedriveInvocationsRequest { deadline, ..named(&[&id]) }).await;
    assert_eq!(queue.get(&id).await.spec.unwrap().deadline, deadline);
    let mut events = queue.watch(&id, 0).await;
    while events.message().await.unwrap().is_some() {}
    let ended = queue.get(&id).await;
    assert_eq!((ended.state(), ended.past_ends.len()), (InvocationState::Failed, 2));
    assert_eq!(ended.failure.unwrap().reason, "DEADLINE_PASSED");
}

#[tokio::test]
async fn a_redrive_needs_room_like_everything_that_waits() {
    let queue = Harness::with("depth_max = 2\ntenant_depth_max = 2\ndepth_soft = 1.0").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(queue.dead(mortal()).await);
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let answer = queue.redrive(named(&ids)).await;
    assert_eq!(
        (&answer.invocation_ids[..], reasons(&answer)),
        (&[ids[0].to_owned(), ids[1].to_owned()][..], vec!["QUEUE_FULL"])
    );
    assert!(answer.refusals[0].retry_after.is_some());
    // What was refused, or could not be redriven, holds no room.
    for lease in queue.lease_now(2).await {
        queue.complete(&lease.token).await;
    }
    let answer = queue.redrive(named(&ids)).await;
    assert_eq!((&answer.invocation_ids[..], answer.refusals.len()), (&[ids[2].to_owned()][..], 2));
    queue.enqueue(spec()).await;
    assert_eq!(queue.try_enqueue(spec()).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn nobody_redrives_for_another_tenant() {
    let queue = Harness::start().await;
    let id = queue.dead(mortal()).await;
    let mut client = queue.client();
    let answer = client.redrive_invocations(as_tenant(named(&[&id]), "u")).await.unwrap().into_inner();
    assert_eq!(reasons(&answer), ["NOT_FOUND"]);
    let answer = client.redrive_invocations(as_tenant(like(Filter::default()), "u")).await.unwrap().into_inner();
    assert!(answer.invocation_ids.is_empty() && answer.refusals.is_empty());
    assert_eq!(queue.state(&id).await, InvocationState::Dead);
}

#[tokio::test]
async fn a_call_that_names_nothing_or_both_is_refused() {
    let queue = Harness::start().await;
    for (request, field) in [
        (RedriveInvocationsRequest::default(), "invocation_ids"),
        (RedriveInvocationsRequest { filter: Some(Filter::default()), ..named(&["x"]) }, "invocation_ids"),
        (named(&["nonsense"]), "invocation_ids"),
        (RedriveInvocationsRequest { redrive_id: "nonsense".into(), ..like(Filter::default()) }, "redrive_id"),
        (RedriveInvocationsRequest { page_token: "nonsense".into(), ..like(Filter::default()) }, "page_token"),
    ] {
        let refused = queue.try_redrive(request).await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
}
