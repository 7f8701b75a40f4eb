use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::{id, status};
use holdfast_testkit::Fault;
use pb::work_request::Message as Up;
use pb::work_response::Message as Down;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use crate::harness::{Harness, KEYED, WORKER_KEY};
use crate::stand_in::Mode;

fn get() -> pb::GetInvocationRequest {
    pb::GetInvocationRequest { invocation_id: id::new() }
}

fn up(message: Up) -> pb::WorkRequest {
    pb::WorkRequest { message: Some(message) }
}

#[tokio::test]
async fn who_calls_is_written_anew_and_what_a_client_says_of_itself_is_dropped() {
    let harness = Harness::with(Mode::Accept, KEYED).await;
    let mut request = Request::new(get());
    for (name, value) in
        [("holdfast-tenant", "acme"), ("holdfast-role", "mesh"), ("holdfast-principal", "root"), ("x-own", "kept")]
    {
        request.metadata_mut().insert(name, value.parse().expect("plain"));
    }
    harness.queue_through(Some(WORKER_KEY)).get_invocation(request).await.expect("passed");

    let seen = harness.queue.last_seen();
    assert_eq!((seen.tenant.as_deref(), seen.role, seen.principal.as_str()), (Some("umbrella"), "worker", "hand"));
    assert_eq!(seen.metadata.get("x-own").map(|value| value.to_str().unwrap()), Some("kept"));
    let authorization = seen.metadata.get("authorization").expect("the mesh's").to_str().unwrap();
    assert!(!authorization.contains(WORKER_KEY), "the key stays here");
}

#[tokio::test]
async fn errors_pass_with_their_details() {
    let harness = Harness::start(Mode::Refuse).await;
    let refused = harness.queue_through(None).get_invocation(get()).await.expect_err("as told");
    assert_eq!((refused.code(), status::reason(&refused).as_deref()), (Code::NotFound, Some("NOT_FOUND")));
}

#[tokio::test]
async fn a_lease_passes_to_the_service_that_checks_it() {
    let harness = Harness::start(Mode::Accept).await;
    let mut request = Request::new(get());
    request.metadata_mut().insert("holdfast-lease", "forged.token".parse().expect("plain"));
    let refused = harness.queue_through(None).get_invocation(request).await.expect_err("not signed by this mesh");
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_stream_of_answers_passes_with_its_trailers() {
    let harness = Harness::start(Mode::Refuse).await;
    let ask = pb::WatchInvocationRequest { invocation_id: id::new(), from_offset: 1 };
    let mut events = harness.queue_through(None).watch_invocation(ask).await.expect("a stream").into_inner();
    for offset in 1..4 {
        let event = events.message().await.expect("no error yet").expect("an event").event.expect("filled");
        assert_eq!(event.offset, offset);
    }
    let end = events.message().await.expect_err("as told");
    assert_eq!((end.code(), status::reason(&end).as_deref()), (Code::FailedPrecondition, Some("TOLD")));
}

#[tokio::test]
async fn a_workers_stream_goes_both_ways_at_once() {
    let harness = Harness::start(Mode::Accept).await;
    let (upward, outbox) = mpsc::channel(4);
    let mut downward =
        harness.queue_through(None).work(ReceiverStream::new(outbox)).await.expect("a stream").into_inner();
    for round in 1..4_usize {
        let tokens = vec![format!("token-{round}"); round];
        upward.send(up(Up::Heartbeat(pb::HeartbeatRequest { tokens }))).await.expect("the stream is open");
        let Some(Down::Heartbeat(answer)) = downward.message().await.expect("no error").expect("an answer").message
        else {
            panic!("a heartbeat is answered by a heartbeat");
        };
        assert_eq!(answer.renewals.len(), round);
    }
    upward.send(up(Up::Release(pb::ReleaseRequest::default()))).await.expect("the stream is open");
    let end = downward.message().await.expect_err("as told");
    assert_eq!((end.code(), status::reason(&end).as_deref()), (Code::FailedPrecondition, Some("LEASE_LOST")));
}

#[tokio::test]
async fn a_workers_stream_ends_with_a_word_when_the_gateway_drains() {
    let harness = Harness::start(Mode::Accept).await;
    let (_upward, outbox) = mpsc::channel(4);
    let mut downward =
        harness.queue_through(None).work(ReceiverStream::new(outbox)).await.expect("a stream").into_inner();
    harness.stop.cancel();
    let end = downward.message().await.expect_err("the gateway drains");
    assert_eq!(end.code(), Code::Unavailable);
    harness.drained().await;
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_unavailable_with_a_retry_after() {
    let harness = Harness::start(Mode::Accept).await;
    harness.way.set(Fault::Refuse);
    let refused = harness.queue_through(None).get_invocation(get()).await.expect_err("nobody is there");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(status::retry_after(&refused).is_some());
}

#[tokio::test]
async fn a_stream_whose_service_dies_ends_in_grpcs_words() {
    let harness = Harness::start(Mode::Accept).await;
    let ask = pb::WatchInvocationRequest { invocation_id: id::new(), from_offset: 1 };
    let mut events = harness.queue_through(None).watch_invocation(ask).await.expect("a stream").into_inner();
    for _ in 0..3 {
        events.message().await.expect("no error yet").expect("an event");
    }
    harness.way.cut();
    let end = events.message().await.expect_err("the queue died");
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(status::retry_after(&end).is_some());
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_unimplemented() {
    let harness = Harness::start(Mode::Accept).await;
    let mut client = tonic::client::Grpc::new(harness.channel(None));
    client.ready().await.expect("our own channel");
    let path = http::uri::PathAndQuery::from_static("/holdfast.queue.v1.QueueService/NoSuchMethod");
    let codec = tonic_prost::ProstCodec::<pb::GetInvocationRequest, pb::GetInvocationResponse>::default();
    let refused = client.unary(Request::new(get()), path, codec).await.expect_err("no such method");
    assert_eq!(refused.code(), Code::Unimplemented);
}
