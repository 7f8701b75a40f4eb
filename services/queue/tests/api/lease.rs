use std::time::Duration;

use holdfast_proto::queue::v1::{
    CompleteRequest, FailRequest, Failure, HeartbeatRequest, InvocationSpec, InvocationState, LeaseRequest,
    ReleaseRequest, Usage,
};
use holdfast_rpc::status;
use tonic::Code;

use crate::harness::{Harness, id_of, payload, spec};

#[tokio::test]
async fn a_simple_client_leases_and_completes() {
    let queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    assert_eq!(id_of(&lease), id);
    assert_eq!(lease.invocation.as_ref().unwrap().spec.as_ref().unwrap().payload, Some(payload("{}")));
    assert_eq!(queue.state(&id).await, InvocationState::Leased);
    let usage = Some(Usage { input_tokens: 3, output_tokens: 5 });
    let complete = CompleteRequest { token: lease.token.clone(), result: Some(payload("{\"ok\":true}")), usage };
    let first = queue.client().complete(complete.clone()).await.unwrap().into_inner();
    let ended = queue.get(&id).await;
    assert_eq!(ended.state(), InvocationState::Succeeded);
    assert_eq!((ended.result, ended.usage), (Some(payload("{\"ok\":true}")), usage));
    assert_eq!(ended.ended_at, first.ended_at);

    let again = queue.client().complete(complete).await.unwrap().into_inner();
    assert_eq!(again, first, "a repeat gets the first answer");
}

#[tokio::test]
async fn a_waiting_lease_call_is_answered_by_the_next_submission() {
    let queue = Harness::start().await;
    let (lease, id) = tokio::join!(queue.lease_one(), queue.enqueue(spec()));
    assert_eq!(id_of(&lease), id);
}

#[tokio::test]
async fn a_lease_call_ends_when_its_wait_is_over() {
    let queue = Harness::start().await;
    let request = LeaseRequest {
        worker: "w".into(),
        agents: vec!["mail".into()],
        max_leases: 1,
        wait: Some(Duration::from_millis(50).try_into().unwrap()),
    };
    assert!(queue.client().lease(request).await.unwrap().into_inner().leases.is_empty());
}

#[tokio::test]
async fn a_lease_call_that_was_given_up_leaves_its_work_to_others() {
    let queue = Harness::start().await;
    {
        let abandoned = queue.lease_one();
        // The call is on its way, and then it is dropped.
        assert!(tokio::time::timeout(Duration::from_millis(100), abandoned).await.is_err());
    }
    let id = queue.enqueue(spec()).await;
    assert_eq!(id_of(&queue.lease_one().await), id);
}

#[tokio::test]
async fn higher_priorities_go_first() {
    let queue = Harness::start().await;
    let low = queue.enqueue(spec()).await;
    let high = queue.enqueue(InvocationSpec { priority: 50, ..spec() }).await;
    let order: Vec<String> = queue.lease_now(2).await.iter().map(|lease| id_of(lease).to_owned()).collect();
    assert_eq!(order, [high, low]);
}

#[tokio::test]
async fn a_heartbeat_renews_and_says_what_is_lost() {
    let queue = Harness::with("lease_ttl = \"400ms\"\nstream_grace = \"100ms\"").await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    let beat = HeartbeatRequest { tokens: vec![lease.token.clone()] };
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..10 {
        ticks.tick().await;
        let renewal = queue.client().heartbeat(beat.clone()).await.unwrap().into_inner().renewals.remove(0);
        assert!(renewal.ttl.is_some(), "it lives as long as it is renewed: {renewal:?}");
    }
    // Not renewed any more, it is freed and given to the next.
    let next = queue.lease_one().await;
    assert_eq!(id_of(&next), id);
    assert!(next.fence > lease.fence);
    let renewal = queue.client().heartbeat(beat).await.unwrap().into_inner().renewals.remove(0);
    assert_eq!((renewal.ttl, renewal.lost_reason.as_str()), (None, "LEASE_LOST"));
}

#[tokio::test]
async fn a_superseded_worker_cannot_complete_fail_or_release() {
    let queue = Harness::with("lease_ttl = \"200ms\"\nstream_grace = \"100ms\"").await;
    let id = queue.enqueue(spec()).await;
    let first = queue.lease_one().await;
    let second = queue.lease_one().await;
    assert_eq!(id_of(&second), id);
    let mut client = queue.client();
    let token = first.token.clone();
    let refusals = [
        client.complete(CompleteRequest { token: token.clone(), ..Default::default() }).await.unwrap_err(),
        client.fail(FailRequest { token: token.clone(), failure: Some(failure()), usage: None }).await.unwrap_err(),
        client.release(ReleaseRequest { token }).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(status::reason(&refused).as_deref(), Some("LEASE_LOST"));
    }
    client.complete(CompleteRequest { token: second.token, ..Default::default() }).await.unwrap();
    let ended = queue.get(&id).await;
    assert_eq!((ended.state(), ended.lost_leases, ended.attempt), (InvocationState::Succeeded, 1, 1));
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let queue = Harness::start().await;
    queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    let (claims, _) = lease.token.rsplit_once('.').unwrap();
    let (_, signature) = Harness::start().await.forged().await;
    for token in ["nonsense".to_owned(), format!("{claims}.{signature}"), String::new()] {
        let request = CompleteRequest { token, ..Default::default() };
        let refused = queue.client().complete(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    assert_eq!(queue.state(id_of(&lease)).await, InvocationState::Leased);
}

impl Harness {
    /// Claims and signature of a lease of this queue, whose key is its own.
    async fn forged(&self) -> (String, String) {
        self.enqueue(spec()).await;
        let token = self.lease_one().await.token;
        let (claims, signature) = token.rsplit_once('.').unwrap();
        (claims.to_owned(), signature.to_owned())
    }
}

#[tokio::test]
async fn a_released_lease_counts_no_attempt() {
    let queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    let release = ReleaseRequest { token: lease.token };
    queue.client().release(release.clone()).await.unwrap();
    queue.client().release(release).await.expect("a repeat gets the first answer");
    let waiting = queue.get(&id).await;
    assert_eq!((waiting.state(), waiting.attempt, waiting.lost_leases), (InvocationState::Queued, 0, 0));
    assert!(waiting.failed_attempts.is_empty());
    assert_eq!(queue.lease_one().await.invocation.unwrap().attempt, 1);
}

#[tokio::test]
async fn an_oversized_result_is_refused_and_the_lease_goes_on() {
    let queue = Harness::with("result_max = \"1KiB\"").await;
    let id = queue.enqueue(spec()).await;
    let lease = queue.lease_one().await;
    let result = Some(payload(&"x".repeat(2_000)));
    let refused =
        queue.client().complete(CompleteRequest { token: lease.token, result, usage: None }).await.unwrap_err();
    assert_eq!(status::field(&refused).as_deref(), Some("result"));
    assert_eq!(queue.state(&id).await, InvocationState::Leased);
}

#[tokio::test]
async fn many_callers_get_each_invocation_once() {
    let queue = Harness::start().await;
    for _ in 0..60 {
        queue.enqueue(spec()).await;
    }
    let leases = futures::future::join_all((0..20).map(|_| queue.lease_now(5))).await;
    let mut ids: Vec<String> = leases.iter().flatten().map(|lease| id_of(lease).to_owned()).collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!((all, ids.len()), (60, 60));
}

fn failure() -> Failure {
    Failure { reason: "BUSY".into(), message: String::new(), retryable: true }
}

#[tokio::test]
async fn one_calls_leases_are_no_more_than_any_client_can_take() {
    let queue = Harness::start().await;
    let large = InvocationSpec { payload: Some(payload(&"x".repeat(900 << 10))), ..spec() };
    for _ in 0..8 {
        queue.enqueue(large.clone()).await;
    }
    let mut leases = 0;
    while leases < 8 {
        let request = LeaseRequest { worker: "w".into(), agents: vec!["mail".into()], max_leases: 8, wait: None };
        let some = queue.client().lease(request).await.expect("4 MiB at most").into_inner().leases;
        assert!((1..=2).contains(&some.len()), "{}", some.len());
        leases += some.len();
    }
}
