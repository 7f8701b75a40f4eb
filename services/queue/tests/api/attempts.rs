use std::time::Duration;

use holdfast_proto::queue::v1::{FailRequest, Failure, InvocationSpec, InvocationState, RetryPolicy};
use holdfast_rpc::status;

use crate::harness::{Harness, id_of, in_future, spec};

fn policy(max_attempts: u32) -> RetryPolicy {
    RetryPolicy {
        max_attempts,
        initial_backoff: Some(Duration::from_millis(1).try_into().unwrap()),
        non_retryable_reasons: vec!["BAD_INPUT".into()],
        ..Default::default()
    }
}

fn failing(token: &str, reason: &str) -> FailRequest {
    let failure = Failure { reason: reason.into(), message: format!("because of {reason}"), retryable: true };
    FailRequest { token: token.into(), failure: Some(failure), usage: None }
}

#[tokio::test]
async fn failed_attempts_are_repeated_until_it_is_dead_and_each_error_is_kept() {
    let queue = Harness::start().await;
    let id = queue.enqueue(InvocationSpec { retry_policy: Some(policy(3)), ..spec() }).await;
    for attempt in 1..=3 {
        let lease = queue.lease_one().await;
        assert_eq!(lease.invocation.as_ref().unwrap().attempt, attempt);
        assert_eq!(lease.invocation.as_ref().unwrap().failed_attempts.len() as u32, attempt - 1);
        let request = failing(&lease.token, "BUSY");
        let answer = queue.client().fail(request.clone()).await.unwrap().into_inner();
        let expected = if attempt < 3 { InvocationState::Queued } else { InvocationState::Dead };
        assert_eq!(answer.state(), expected);
        assert_eq!(answer.next_attempt_at.is_some(), attempt < 3);
        let again = queue.client().fail(request).await.unwrap().into_inner();
        assert_eq!(again, answer, "a repeat gets the first answer");
    }
    let dead = queue.get(&id).await;
    assert_eq!((dead.state(), dead.attempt), (InvocationState::Dead, 3));
    assert_eq!(dead.failure.unwrap().reason, "BUSY");
    let attempts: Vec<_> = dead.failed_attempts.iter().map(|failed| failed.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert!(dead.failed_attempts.iter().all(|failed| failed.failure.as_ref().unwrap().message == "because of BUSY"));
    assert!(dead.failed_attempts.iter().all(|failed| failed.worker == "unary" && failed.ended_at.is_some()));
}

#[tokio::test]
async fn a_reason_that_repetition_cannot_mend_ends_it_at_once() {
    let queue = Harness::start().await;
    let id = queue.enqueue(InvocationSpec { retry_policy: Some(policy(3)), ..spec() }).await;
    let lease = queue.lease_one().await;
    let answer = queue.client().fail(failing(&lease.token, "BAD_INPUT")).await.unwrap().into_inner();
    assert_eq!(answer.state(), InvocationState::Failed);
    let ended = queue.get(&id).await;
    assert_eq!((ended.state(), ended.failed_attempts.len()), (InvocationState::Failed, 1));
}

#[tokio::test]
async fn a_failure_needs_a_reason() {
    let queue = Harness::start().await;
    queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    let request = FailRequest { token: lease.token, failure: None, usage: None };
    let refused = queue.client().fail(request).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("failure.reason"));
}

#[tokio::test]
async fn lost_leases_are_counted_apart_and_have_a_limit_of_their_own() {
    let queue = Harness::with("lease_ttl = \"100ms\"\nstream_grace = \"50ms\"\nlost_leases_max = 3").await;
    let id = queue.enqueue(InvocationSpec { retry_policy: Some(policy(1)), ..spec() }).await;
    for _ in 0..3 {
        assert_eq!(id_of(&queue.lease_one().await), id);
    }
    let mut events = queue.watch(&id, 0).await;
    while events.message().await.unwrap().is_some() {}
    let dead = queue.get(&id).await;
    assert_eq!((dead.state(), dead.lost_leases, dead.attempt), (InvocationState::Dead, 3, 0));
    assert_eq!(dead.failed_attempts.len(), 3);
    assert!(dead.failed_attempts.iter().all(|failed| failed.failure.as_ref().unwrap().reason == "LEASE_LOST"));
}

#[tokio::test]
async fn delayed_work_waits_for_its_time() {
    let queue = Harness::start().await;
    let not_before = in_future(Duration::from_secs(1));
    let later = queue.enqueue(InvocationSpec { not_before: Some(not_before), ..spec() }).await;
    assert!(queue.lease_now(10).await.is_empty());
    assert!(queue.get(&later).await.next_attempt_at.is_some());
    let lease = queue.lease_one().await;
    assert_eq!(id_of(&lease), later);
    assert!(holdfast_rpc::time::now_micros() >= holdfast_rpc::time::micros(&not_before).unwrap());
}
