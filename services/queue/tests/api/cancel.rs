use holdfast_proto::queue::v1::{CancelInvocationRequest, CompleteRequest, HeartbeatRequest, InvocationState};
use holdfast_rpc::status;
use tonic::Code;

use crate::harness::{Harness, spec};
use crate::worker::Worker;

fn cancel(id: &str) -> CancelInvocationRequest {
    CancelInvocationRequest { invocation_id: id.into(), reason: "not needed".into() }
}

#[tokio::test]
async fn queued_work_is_cancelled_and_never_leased() {
    let queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let answer = queue.client().cancel_invocation(cancel(&id)).await.unwrap().into_inner().invocation.unwrap();
    assert_eq!(answer.state(), InvocationState::Cancelled);
    let failure = answer.failure.unwrap();
    assert_eq!((failure.reason.as_str(), failure.message.as_str()), ("CANCELLED", "not needed"));
    assert!(queue.lease_now(1).await.is_empty());
    queue.client().cancel_invocation(cancel(&id)).await.expect("a repeat gets the first answer");
}

#[tokio::test]
async fn running_work_is_cancelled_at_once_and_its_worker_is_told() {
    let queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let id = queue.enqueue(spec()).await;
    let lease = worker.lease().await;
    queue.client().cancel_invocation(cancel(&id)).await.unwrap();
    let revoked = worker.revoked().await;
    assert_eq!((revoked.token, revoked.reason.as_str()), (lease.token.clone(), "CANCELLED"));
    worker.complete(&lease, "too late");
    let refused = status::from_bytes(&worker.settled().await.status);
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(status::reason(&refused).as_deref(), Some("CANCELLED"));
    let beat = HeartbeatRequest { tokens: vec![lease.token] };
    let renewal = queue.client().heartbeat(beat).await.unwrap().into_inner().renewals.remove(0);
    assert_eq!(renewal.lost_reason, "CANCELLED");
    assert_eq!(queue.state(&id).await, InvocationState::Cancelled);
}

#[tokio::test]
async fn what_has_ended_cannot_be_cancelled() {
    let queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let token = queue.lease_one().await.token;
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    let refused = queue.client().cancel_invocation(cancel(&id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(status::reason(&refused).as_deref(), Some("ALREADY_ENDED"));
    assert_eq!(queue.state(&id).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn of_completion_and_cancellation_exactly_one_wins() {
    let queue = Harness::start().await;
    for _ in 0..20 {
        let id = queue.enqueue(spec()).await;
        let token = queue.lease_one().await.token;
        let (mut one, mut other) = (queue.client(), queue.client());
        let (completed, cancelled) = tokio::join!(
            one.complete(CompleteRequest { token, ..Default::default() }),
            other.cancel_invocation(cancel(&id)),
        );
        assert_ne!(completed.is_ok(), cancelled.is_ok());
        let expected = if completed.is_ok() { InvocationState::Succeeded } else { InvocationState::Cancelled };
        assert_eq!(queue.state(&id).await, expected);
    }
}

#[tokio::test]
async fn an_unknown_invocation_is_not_found() {
    let queue = Harness::start().await;
    let refused = queue.client().cancel_invocation(cancel(&holdfast_rpc::id::new())).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let refused = queue.client().cancel_invocation(cancel("nonsense")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
