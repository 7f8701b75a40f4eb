//! The stacks over real sockets, with a stand-in for a service.

mod several;
mod slow;
mod stand_in;
mod web;

use std::time::Duration;

use holdfast_config::{Common, Secret, Tls};
use holdfast_proto::llm::v1::{
    GenerateRequest, GetCapacityRequest, ListModelsRequest, StreamGenerateRequest, WatchCapacityRequest,
};
use holdfast_rpc::{client, server::Limits, status};
use http_body_util::BodyExt as _;
use stand_in::{Mesh, Options};
use tokio::time::timeout;
use tonic::{Code, Request};

#[tokio::test]
async fn a_deadline_travels_and_shrinks() {
    let mesh = Mesh::start(Options::default()).await;
    let mut request = Request::new(ListModelsRequest {});
    request.set_timeout(Duration::from_secs(30));
    let seen = mesh.client().list_models(request).await.expect("it answers").into_inner();
    let left: u64 = seen.models[0].name.parse().expect("milliseconds left");
    assert!((1..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_call_ends_by_its_deadline_its_stream_included() {
    let mesh = Mesh::start(Options::default()).await;
    let mut request = Request::new(StreamGenerateRequest::default());
    request.set_timeout(Duration::from_millis(50));
    let mut stream = mesh.client().stream_generate(request).await.expect("the stream opens").into_inner();
    let status = stream.message().await.expect_err("it never says anything");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status::may_have_happened(&status));
}

#[tokio::test]
async fn a_stream_ends_by_its_deadline_whoever_reads_it() {
    let mesh = Mesh::start(Options::default()).await;
    // A client that says when it must end, and does nothing about it.
    let answer = mesh.raw("/holdfast.llm.v1.LlmService/StreamGenerate", &[("grpc-timeout", "500m")]).await;
    let ended = timeout(Duration::from_secs(30), answer.into_body().collect()).await.expect("it ends").expect("well");
    assert_eq!(ended.trailers().expect("a status")["grpc-status"], "4");
}

#[tokio::test]
async fn a_malformed_deadline_is_refused_by_its_name() {
    let mesh = Mesh::start(Options::default()).await;
    let answer = mesh.raw("/holdfast.llm.v1.LlmService/ListModels", &[("grpc-timeout", "soon")]).await;
    assert_eq!(answer.headers()["grpc-status"], "3");
}

#[tokio::test]
async fn a_panic_stays_within_its_call() {
    let mesh = Mesh::start(Options::default()).await;
    let mut client = mesh.client();
    let status = client.generate(GenerateRequest::default()).await.expect_err("the handler panics");
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("canary"), "the text stays in the log: {}", status.message());
    client.list_models(ListModelsRequest {}).await.expect("the connection lives on");
}

#[tokio::test]
async fn an_error_with_a_long_text_ends_its_call_and_nobody_elses() {
    let mesh = Mesh::start(Options::default()).await;
    let mut client = mesh.client();
    let mut held =
        client.stream_generate(StreamGenerateRequest::default()).await.expect("a call beside it").into_inner();
    let beside = tokio::spawn(async move { held.message().await });
    let model = "é".repeat(50_000);
    let status = client.get_capacity(GetCapacityRequest { model }).await.expect_err("it is refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status::field(&status).is_some_and(|field| field.starts_with('é') && field.len() <= 1_024));
    client.list_models(ListModelsRequest {}).await.expect("the connection lives on");
    assert!(!beside.is_finished(), "the call beside it goes on");
}

#[tokio::test]
async fn one_call_too_many_is_refused_with_a_retry_after_and_health_still_answers() {
    let limits = Limits { in_flight_max: 1, ..Limits::default() };
    let mesh = Mesh::start(Options { limits, ..Options::default() }).await;
    let held = mesh.client().stream_generate(StreamGenerateRequest::default()).await.expect("the only slot");
    let status = mesh.client().list_models(ListModelsRequest {}).await.expect_err("no slot is left");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&status).is_some());
    assert_eq!(mesh.get("/healthz").await.0, 200);
    drop(held);
    mesh.until_served().await;
}

#[tokio::test]
async fn a_stranger_is_refused_and_health_still_answers() {
    let mesh = Mesh::start(Options { credential: Some("s3cret"), ..Options::default() }).await;
    mesh.client().list_models(ListModelsRequest {}).await.expect("the mesh knows its own");
    let status = mesh.stranger().list_models(ListModelsRequest {}).await.expect_err("no credential");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(mesh.get("/healthz").await.0, 200);
    assert_eq!(mesh.get("/metrics").await.0, 200);
}

#[tokio::test]
async fn a_stranger_is_told_nothing_but_that() {
    let mesh = Mesh::start(Options { credential: Some("s3cret"), ..Options::default() }).await;
    for header in [("grpc-timeout", "soon"), ("grpc-timeout", "0n"), ("holdfast-role", "king")] {
        // Any other code would have the name that the stranger made up kept as a metric's label.
        let answer = mesh.raw("/made.Up/Method", &[header]).await;
        assert_eq!(answer.headers()["grpc-status"], "16", "{header:?}");
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_is_unavailable_with_a_retry_after_and_nothing_happened() {
    let mesh = Mesh::start(Options::default()).await;
    let mut client = mesh.client();
    mesh.stop().await;
    let status = client.list_models(ListModelsRequest {}).await.expect_err("nobody listens");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status::retry_after(&status).is_some());
    assert!(!status::may_have_happened(&status));
}

#[tokio::test]
async fn the_breaker_opens_no_socket_while_a_peer_is_gone_and_closes_when_it_is_back() {
    let mesh = Mesh::start(Options::default()).await;
    let (mut client, address) = (mesh.client(), mesh.address());
    mesh.stop().await;
    for _ in 0..5 {
        client.list_models(ListModelsRequest {}).await.expect_err("nobody listens");
    }
    let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free again");
    for _ in 0..5 {
        let status = client.list_models(ListModelsRequest {}).await.expect_err("the breaker is open");
        assert!(status::retry_after(&status).is_some());
    }
    let accepted = timeout(Duration::ZERO, listener.accept()).await;
    assert!(accepted.is_err(), "an open breaker opens no socket");
    drop(listener);
    let mesh = Mesh::start(Options { address: Some(address), ..Options::default() }).await;
    while client.list_models(ListModelsRequest {}).await.is_err() {
        tokio::task::yield_now().await;
    }
    mesh.stop().await;
}

#[tokio::test]
async fn a_call_without_an_answer_keeps_nobody_from_a_peer_that_is_back() {
    let mesh = Mesh::start(Options::default()).await;
    let (mut client, address) = (mesh.client(), mesh.address());
    mesh.stop().await;
    for _ in 0..5 {
        client.list_models(ListModelsRequest {}).await.expect_err("nobody listens");
    }
    let _mesh = Mesh::start(Options { address: Some(address), ..Options::default() }).await;
    // The first that gets through takes for ever.
    let _waits = loop {
        let mut slow = client.clone();
        let mut call = Box::pin(async move { slow.watch_capacity(WatchCapacityRequest::default()).await });
        match timeout(Duration::from_millis(50), &mut call).await {
            Ok(refused) => assert_eq!(refused.expect_err("it is not answered").code(), Code::Unavailable),
            Err(_) => break call,
        }
    };
    let others = async {
        while client.list_models(ListModelsRequest {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), others).await.expect("the peer is there");
}

#[tokio::test]
async fn a_tenant_set_by_the_mesh_reaches_the_handler() {
    let mesh = Mesh::start(Options::default()).await;
    let request = client::for_tenant(Request::new(ListModelsRequest {}), "acme").expect("a plain name");
    let seen = mesh.client().list_models(request).await.expect("it answers").into_inner();
    assert_eq!(seen.models[1].name, "acme");
}

#[tokio::test]
async fn another_address_than_loopback_is_refused_without_tls_credential_and_a_lease_key_that_all_share() {
    let mut common = Common::default();
    let data = tempfile::tempdir().expect("a temporary directory");
    common.data.dir = data.path().into();
    for missing in ["a [tls] section", "mesh.credential", "mesh.lease_key"] {
        let error = Mesh::bind_everywhere(&common).await.expect_err(missing);
        assert!(error.to_string().contains(&format!("without {missing}")), "{error}");
        assert_eq!(error.exit_code(), 2);
        match missing {
            "mesh.credential" => common.mesh.credential = Some(Secret::in_memory("s3cret")),
            "mesh.lease_key" => common.mesh.lease_key = Some(Secret::in_memory("k3y")),
            _ => common.tls = Some(Tls::default()),
        }
    }
    Mesh::bind_everywhere(&common).await.expect("it has everything");
}
