//! What one caller may leave with the gateway: unread answers, unfinished requests.

use std::time::Duration;

use bytes::Bytes;
use holdfast_proto::gateway::v1 as gw;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::{id, status};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::{CALLER_KEY, Harness, KEY, KEYED, WORKER_KEY, spec, submit};
use crate::stand_in::Mode;

/// Reads what there is, and gives the word with which it ends.
async fn ended<T>(mut events: Streaming<T>) -> Status {
    loop {
        match events.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ends with a word"),
            Err(status) => return status,
        }
    }
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_let_go_with_a_word() {
    let harness = Harness::with(Mode::Flood, "[gateway]\nunread_max = \"64KiB\"\n").await;
    let ask = gw::WatchInvocationRequest { invocation_id: id::new(), from_offset: 1 };
    let events = harness.invocations(None).watch_invocation(ask).await.expect("a stream").into_inner();
    harness.queue.unwatched().await;
    let told = ended(events).await;
    assert_eq!(told.code(), Code::ResourceExhausted, "{told}");
    assert!(status::retry_after(&told).is_some() && told.message().contains("unread_max"), "{told}");
}

#[tokio::test]
async fn readers_that_stand_still_stop_nobody_else_on_the_way_to_the_same_service() {
    let harness = Harness::with(Mode::Flood, "[gateway]\nunread_max = \"64KiB\"\n").await;
    let mut stuck = Vec::new();
    // More than the window of the connection that all share.
    for _ in 0..16 {
        let ask = pb::WatchInvocationRequest { invocation_id: id::new(), from_offset: 1 };
        stuck.push(harness.queue_through(None).watch_invocation(ask).await.expect("a stream").into_inner());
    }
    for _ in 0..20 {
        let get = pb::GetInvocationRequest { invocation_id: id::new() };
        harness.queue_through(None).get_invocation(get).await.expect("answered");
    }
    for events in stuck {
        assert_eq!(ended(events).await.code(), Code::ResourceExhausted);
    }
}

fn large() -> gw::SubmitInvocationRequest {
    let payload = pb::Payload { data: vec![b'1'; 700 << 10].into(), content_type: String::new() };
    submit(pb::InvocationSpec { payload: Some(payload), ..spec("mail", &id::new()) })
}

#[tokio::test]
async fn a_tenants_requests_in_hand_leave_room_for_anothers() {
    let settings = KEYED.replace("[gateway]\n", "[gateway]\npayload_max = \"750KiB\"\ntenant_bytes_max = \"1MiB\"\n");
    let harness = Harness::with(Mode::Silent, &settings).await;
    let submitted = |key| {
        let mut caller = harness.invocations(Some(key));
        async move { caller.submit_invocation(large()).await }
    };
    let hanging = tokio::spawn(submitted(CALLER_KEY));
    harness.queue.came(1).await;
    harness.queue.set(Mode::Accept);
    // It was read long ago, and may have to be sent again.
    let refused = submitted(KEY).await.expect_err("both keys are of one tenant");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some() && refused.message().contains("tenant_bytes_max"), "{refused}");
    assert!(!status::may_have_happened(&refused));
    submitted(WORKER_KEY).await.expect("another tenant has its own");
    hanging.abort();
    while let Err(refused) = submitted(KEY).await {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    }
}

/// A submission whose end never comes, until the sender is dropped.
fn unfinished(harness: &Harness, bytes: usize) -> (mpsc::Sender<gw::SubmitInvocationRequest>, Submitting) {
    let (sender, messages) = mpsc::channel(1);
    let payload = pb::Payload { data: vec![b'1'; bytes].into(), content_type: String::new() };
    let asked = submit(pb::InvocationSpec { payload: Some(payload), ..spec("mail", "") });
    sender.try_send(asked).expect("there is room for one");
    let mut client = tonic::client::Grpc::new(harness.channel(None));
    let call = tokio::spawn(async move {
        client.ready().await.expect("our own channel");
        let path = "/holdfast.gateway.v1.InvocationService/SubmitInvocation";
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = tonic_prost::ProstCodec::<gw::SubmitInvocationRequest, gw::SubmitInvocationResponse>::default();
        client.client_streaming(Request::new(ReceiverStream::new(messages)), path, codec).await.map(|_| ())
    });
    (sender, call)
}

type Submitting = tokio::task::JoinHandle<Result<(), Status>>;

#[tokio::test]
async fn requests_that_are_being_read_are_bounded_in_bytes() {
    let harness = Harness::with(Mode::Accept, "[gateway]\npayload_max = \"750KiB\"\nbytes_max = \"1MiB\"\n").await;
    let (mut sender, mut first) = unfinished(&harness, 700 << 10);
    // Until the first is in: then the second does not fit beside it. Where the second was there before, the first did not fit.
    let refused = loop {
        if let Err(refused) = harness.invocations(None).submit_invocation(large()).await {
            break refused;
        }
        if first.is_finished() {
            (sender, first) = unfinished(&harness, 700 << 10);
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(status::retry_after(&refused).is_some() && !status::may_have_happened(&refused));
    harness.invocations(None).submit_invocation(submit(spec("mail", ""))).await.expect("a small one fits");
    drop(sender);
    first.await.expect("no panic").expect("the first is accepted");
    harness.invocations(None).submit_invocation(large()).await.expect("there is room again");
}

/// The answer of a call whose caller makes no room for it.
async fn untaken(harness: &Harness) -> http::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(harness.url.trim_start_matches("http://")).await.expect("it listens");
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let path = format!("{}/holdfast.gateway.v1.InvocationService/ListInvocations", harness.url);
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {CALLER_KEY}"));
    // An empty message by gRPC's framing.
    let body = Full::new(Bytes::from_static(&[0; 5]));
    let answer = sender.send_request(request.body(body).expect("valid parts")).await.expect("an answer");
    assert_eq!(answer.headers().get("grpc-status"), None, "it is no refusal: there is something to take");
    answer
}

/// Submits until there is a place for it.
async fn placed(harness: &Harness) {
    let submitted = async {
        while let Err(refused) = harness.invocations(Some(KEY)).submit_invocation(submit(spec("mail", ""))).await {
            assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        }
    };
    timeout(Duration::from_secs(10), submitted).await.expect("the place is free again");
}

#[tokio::test]
async fn an_answer_holds_its_place_until_it_is_taken() {
    let settings =
        format!("[tenants.acme]\nconcurrency = 1\n{KEYED}").replace("[gateway]", "[gateway]\nslow_max = \"1h\"");
    let harness = Harness::with(Mode::Accept, &settings).await;
    let answer = untaken(&harness).await;
    let refused = harness.invocations(Some(KEY)).submit_invocation(submit(spec("mail", ""))).await;
    assert_eq!(refused.expect_err("the tenant's only place is taken").code(), Code::ResourceExhausted);
    drop(answer);
    placed(&harness).await;
}

#[tokio::test]
async fn an_answer_that_nobody_takes_gives_its_place_back() {
    let settings =
        format!("[tenants.acme]\nconcurrency = 1\n{KEYED}").replace("[gateway]", "[gateway]\nslow_max = \"20ms\"");
    let harness = Harness::with(Mode::Accept, &settings).await;
    let _answer = untaken(&harness).await;
    placed(&harness).await;
}
