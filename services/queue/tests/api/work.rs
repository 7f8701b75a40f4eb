use std::time::{Duration, Instant};

use holdfast_proto::queue::v1::invocation_event::Progress;
use holdfast_proto::queue::v1::report_progress_request::Event as Report;
use holdfast_proto::queue::v1::work_request::{Hello, Message as Up};
use holdfast_proto::queue::v1::work_response::Message as Down;
use holdfast_proto::queue::v1::{
    FailRequest, Failure, HeartbeatRequest, InvocationSpec, InvocationState, ReleaseRequest, ReportProgressRequest,
};
use holdfast_rpc::status;
use tonic::Code;

use crate::harness::{Harness, id_of, spec};
use crate::worker::{Worker, hello};

#[tokio::test]
async fn leases_come_down_within_the_credits_and_completions_go_up() {
    let queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 2).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(queue.enqueue(spec()).await);
    }
    let (first, second) = (worker.lease().await, worker.lease().await);
    assert_eq!([id_of(&first), id_of(&second)], [ids[0].as_str(), ids[1].as_str()]);
    worker.complete(&first, "{}");
    let settled = worker.settled().await;
    assert_eq!((settled.token, settled.status.len()), (first.token.clone(), 0));
    assert_eq!(queue.state(&ids[2]).await, InvocationState::Queued, "no credit, no lease");
    worker.credit(1);
    assert_eq!(id_of(&worker.lease().await), ids[2]);
    assert_eq!(queue.state(&ids[0]).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn a_repeat_of_a_key_costs_a_waiting_worker_nothing() {
    let queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 2).await;
    let keyed = InvocationSpec { idempotency_key: "k".into(), ..spec() };
    let id = queue.enqueue(keyed.clone()).await;
    assert_eq!(id_of(&worker.lease().await), id);
    for _ in 0..5 {
        assert_eq!(queue.try_enqueue(keyed.clone()).await.unwrap(), (id.clone(), false));
    }
    // The credit that was reserved for each repeat came back.
    let next = queue.enqueue(spec()).await;
    assert_eq!(id_of(&worker.lease().await), next);
}

#[tokio::test]
async fn everything_that_a_lease_needs_goes_over_the_stream() {
    let queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let id = queue.enqueue(spec()).await;
    let lease = worker.lease().await;
    let token = lease.token.clone();
    worker.send(Up::Heartbeat(HeartbeatRequest { tokens: vec![token.clone()] }));
    let Down::Heartbeat(beat) = worker.next().await else { panic!("a heartbeat was expected") };
    assert!(beat.renewals[0].ttl.is_some());
    let event = Some(Report::Progress(Progress { message: "on it".into(), fraction: None }));
    worker.send(Up::Progress(ReportProgressRequest { token: token.clone(), event }));
    assert!(worker.settled().await.status.is_empty());
    worker.send(Up::Release(ReleaseRequest { token }));
    assert!(worker.settled().await.status.is_empty());
    worker.credit(1);
    let lease = worker.lease().await;
    let failure = Some(Failure { reason: "NO".into(), message: String::new(), retryable: false });
    worker.send(Up::Fail(FailRequest { token: lease.token, failure, usage: None }));
    assert!(worker.settled().await.status.is_empty());
    assert_eq!(queue.state(&id).await, InvocationState::Failed);
}

#[tokio::test]
async fn a_broken_stream_has_its_grace_and_then_its_leases_are_freed() {
    let queue = Harness::with("stream_grace = \"500ms\"").await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let id = queue.enqueue(spec()).await;
    worker.lease().await;
    let broken = Instant::now();
    drop(worker);
    assert_eq!(id_of(&queue.lease_one().await), id);
    let took = broken.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_worker_that_comes_back_in_time_goes_on_with_what_it_names() {
    let queue = Harness::with("stream_grace = \"2s\"").await;
    let mut worker = Worker::open(queue.client(), 2).await;
    let kept = queue.enqueue(spec()).await;
    let unnamed = queue.enqueue(spec()).await;
    let lease = worker.lease().await;
    worker.lease().await;
    drop(worker);
    let back = Hello { held_tokens: vec![lease.token.clone()], credits: 1, ..hello() };
    let mut worker = Worker::open_with(queue.client(), back).await;
    assert_eq!(worker.welcome.adopted_tokens, std::slice::from_ref(&lease.token));
    assert!(worker.welcome.heartbeat_interval.is_some());
    // The unnamed one is freed at once, not after the grace.
    let again = worker.lease().await;
    assert_eq!(id_of(&again), unnamed);
    assert_eq!(again.invocation.as_ref().unwrap().lost_leases, 1);
    worker.complete(&lease, "done");
    assert!(worker.settled().await.status.is_empty());
    assert_eq!(queue.state(&kept).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn an_adopted_lease_outlives_the_grace_of_its_old_stream() {
    let queue = Harness::with("stream_grace = \"200ms\"\nlease_ttl = \"5s\"").await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let id = queue.enqueue(spec()).await;
    let lease = worker.lease().await;
    drop(worker);
    let back = Hello { held_tokens: vec![lease.token.clone()], ..hello() };
    let mut worker = Worker::open_with(queue.client(), back).await;
    // Another worker waits for longer than the grace and gets nothing.
    let mut other = Worker::open_with(queue.client(), Hello { worker: "w-2".into(), credits: 1, ..hello() }).await;
    assert!(tokio::time::timeout(Duration::from_millis(600), other.lease()).await.is_err());
    worker.complete(&lease, "done");
    assert!(worker.settled().await.status.is_empty());
    assert_eq!(queue.state(&id).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn a_lease_that_was_freed_is_not_adopted() {
    let queue = Harness::with("stream_grace = \"100ms\"").await;
    let mut worker = Worker::open(queue.client(), 1).await;
    queue.enqueue(spec()).await;
    let lost = worker.lease().await;
    drop(worker);
    let taken = queue.lease_one().await;
    assert_eq!(id_of(&taken), id_of(&lost));
    let back = Hello { held_tokens: vec![lost.token.clone()], ..hello() };
    let mut worker = Worker::open_with(queue.client(), back).await;
    assert!(worker.welcome.adopted_tokens.is_empty());
    worker.complete(&lost, "too late");
    let refused = status::from_bytes(&worker.settled().await.status);
    assert_eq!(status::reason(&refused).as_deref(), Some("LEASE_LOST"));
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_is_told() {
    let queue = Harness::with("lease_ttl = \"300ms\"\nstream_grace = \"100ms\"").await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let id = queue.enqueue(spec()).await;
    let lease = worker.lease().await;
    let revoked = worker.revoked().await;
    assert_eq!((revoked.token, revoked.reason.as_str()), (lease.token, "LEASE_LOST"));
    assert_eq!(id_of(&queue.lease_one().await), id);
}

#[tokio::test]
async fn a_stream_begins_with_a_hello_that_makes_sense() {
    let queue = Harness::start().await;
    for (field, bad) in [
        ("hello", Up::Credits(Default::default())),
        ("worker", Up::Hello(Hello { worker: String::new(), ..hello() })),
        ("agents", Up::Hello(Hello { agents: Vec::new(), ..hello() })),
    ] {
        let first = holdfast_proto::queue::v1::WorkRequest { message: Some(bad) };
        let requests = tokio_stream::StreamExt::chain(tokio_stream::once(first), tokio_stream::pending());
        let mut answers = queue.client().work(requests).await.unwrap().into_inner();
        let refused = answers.message().await.unwrap_err();
        assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some(field)));
    }
}

#[tokio::test]
async fn a_forged_token_on_a_stream_is_answered_and_the_stream_goes_on() {
    let queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let forged = holdfast_proto::queue::v1::Lease { token: "forged".into(), ..Default::default() };
    worker.complete(&forged, "{}");
    let refused = status::from_bytes(&worker.settled().await.status);
    assert_eq!(refused.code(), Code::Unauthenticated);
    queue.enqueue(spec()).await;
    worker.lease().await;
}

#[tokio::test]
async fn large_inputs_reach_a_worker_that_takes_many_at_once() {
    let queue = Harness::start().await;
    let large = |_| {
        let payload = holdfast_proto::queue::v1::Payload { data: vec![7; 900 << 10].into(), ..Default::default() };
        InvocationSpec { payload: Some(payload), ..spec() }
    };
    for n in 0..40 {
        queue.enqueue(large(n)).await;
    }
    let mut worker = Worker::open(queue.client(), 100).await;
    for _ in 0..40 {
        let lease = worker.lease().await;
        assert_eq!(lease.invocation.unwrap().spec.unwrap().payload.unwrap().data.len(), 900 << 10);
    }
}
