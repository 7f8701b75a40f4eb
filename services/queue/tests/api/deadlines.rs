use std::time::Duration;

use holdfast_proto::queue::v1::{InvocationSpec, InvocationState};
use holdfast_rpc::status;

use crate::harness::{Harness, id_of, in_future, in_session, spec};
use crate::worker::Worker;

fn due_in(millis: u64) -> InvocationSpec {
    InvocationSpec { deadline: Some(in_future(Duration::from_millis(millis))), ..spec() }
}

#[tokio::test]
async fn work_that_waits_past_its_deadline_fails_and_never_starts() {
    let queue = Harness::start().await;
    let id = queue.enqueue(due_in(200)).await;
    let mut events = queue.watch(&id, 0).await;
    while events.message().await.unwrap().is_some() {}
    let ended = queue.get(&id).await;
    assert_eq!(ended.state(), InvocationState::Failed);
    assert_eq!(ended.failure.unwrap().reason, "DEADLINE_PASSED");
    assert!(queue.lease_now(1).await.is_empty());
}

#[tokio::test]
async fn a_deadline_that_has_passed_already_is_not_leased_even_once() {
    let queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 10).await;
    let past = holdfast_rpc::time::timestamp(holdfast_rpc::time::now_micros() - 1_000_000);
    let id = queue.enqueue(InvocationSpec { deadline: Some(past), ..spec() }).await;
    let good = queue.enqueue(spec()).await;
    assert_eq!(id_of(&worker.lease().await), good);
    let mut events = queue.watch(&id, 0).await;
    while events.message().await.unwrap().is_some() {}
    assert_eq!(queue.get(&id).await.attempt, 0);
}

#[tokio::test]
async fn a_running_worker_is_told_that_the_deadline_passed() {
    let queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let id = queue.enqueue(due_in(300)).await;
    let lease = worker.lease().await;
    let revoked = worker.revoked().await;
    assert_eq!((revoked.token.as_str(), revoked.reason.as_str()), (lease.token.as_str(), "DEADLINE_PASSED"));
    worker.complete(&lease, "too late");
    let refused = status::from_bytes(&worker.settled().await.status);
    assert_eq!(status::reason(&refused).as_deref(), Some("DEADLINE_PASSED"));
    assert_eq!(queue.state(&id).await, InvocationState::Failed);
}

#[tokio::test]
async fn an_expired_head_releases_its_session() {
    let queue = Harness::start().await;
    let head = queue.enqueue(InvocationSpec { session: "s".into(), ..due_in(200) }).await;
    let follower = queue.enqueue(in_session("s")).await;
    let mut events = queue.watch(&head, 0).await;
    while events.message().await.unwrap().is_some() {}
    assert_eq!(id_of(&queue.lease_one().await), follower);
}
