use std::time::Duration;

use holdfast_proto::queue::v1::{
    CancelInvocationRequest, CompleteRequest, FailRequest, Failure, InvocationSpec, RetryPolicy,
};

use crate::harness::{Harness, id_of, in_future, in_session};

#[tokio::test]
async fn a_session_runs_one_at_a_time_in_the_order_of_acceptance() {
    let queue = Harness::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        // Priority does not turn the order round.
        ids.push(queue.enqueue(InvocationSpec { priority: n, ..in_session("s") }).await);
    }
    let mut fence = 0;
    for id in &ids {
        let leases = queue.lease_now(10).await;
        assert_eq!(leases.iter().map(id_of).collect::<Vec<_>>(), [id]);
        assert!(leases[0].fence > fence, "fences rise within a session");
        fence = leases[0].fence;
        let token = leases[0].token.clone();
        queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    }
}

#[tokio::test]
async fn sessions_do_not_hold_each_other() {
    let queue = Harness::start().await;
    queue.enqueue(in_session("a")).await;
    queue.enqueue(in_session("b")).await;
    assert_eq!(queue.lease_now(10).await.len(), 2);
}

#[tokio::test]
async fn a_backing_off_head_holds_its_followers_and_its_end_releases_them() {
    let queue = Harness::start().await;
    let slow = Some(Duration::from_secs(3_600).try_into().unwrap());
    let retry_policy = Some(RetryPolicy { initial_backoff: slow, max_backoff: slow, ..Default::default() });
    let head = queue.enqueue(InvocationSpec { retry_policy, ..in_session("s") }).await;
    let follower = queue.enqueue(in_session("s")).await;
    let lease = queue.lease_one().await;
    let failure = Some(Failure { reason: "BUSY".into(), message: String::new(), retryable: true });
    queue.client().fail(FailRequest { token: lease.token, failure, usage: None }).await.unwrap();
    assert!(queue.lease_now(10).await.is_empty());
    let cancel = CancelInvocationRequest { invocation_id: head, reason: String::new() };
    queue.client().cancel_invocation(cancel).await.unwrap();
    assert_eq!(id_of(&queue.lease_one().await), follower);
}

#[tokio::test]
async fn a_delayed_head_holds_its_followers() {
    let queue = Harness::start().await;
    let not_before = Some(in_future(Duration::from_secs(2)));
    let head = queue.enqueue(InvocationSpec { not_before, ..in_session("s") }).await;
    queue.enqueue(in_session("s")).await;
    assert!(queue.lease_now(10).await.is_empty());
    assert_eq!(id_of(&queue.lease_one().await), head);
}
