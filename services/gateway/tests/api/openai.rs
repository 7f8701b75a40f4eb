//! Clients of OpenAI's API from outside, on their way to the llm-proxy.

use axum::body::Body;
use axum::extract::Request as Received;
use axum::response::IntoResponse as _;
use axum::routing::any;
use bytes::Bytes;
use futures::StreamExt as _;
use holdfast_config::Common;
use holdfast_rpc::caller::Caller;
use holdfast_rpc::service::{Host, Routes, Stop};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{CALLER_KEY, Harness, KEY, KEYED, WORKER_KEY};
use crate::stand_in::{Mode, Queue};

/// An llm-proxy that tells what it was told; its streams break off after one event, once it is told to stop.
async fn llm_proxy(common: &mut Common) -> Stop {
    let host = Host::bind("llm-proxy", "127.0.0.1:0", common).await.expect("a free port");
    common.mesh.llm_proxy = format!("http://{}", host.address());
    let (stop, ending) = (host.stop(), host.stop());
    let answer = any(async move |request: Received| {
        if request.headers().contains_key("x-stream") {
            let event = futures::stream::iter([Ok(Bytes::from_static(b"data: {}\n\n"))]);
            let broken = event.chain(futures::stream::once(async move {
                ending.cancelled().await;
                Err(std::io::Error::other("broken"))
            }));
            return ([("content-type", "text/event-stream")], Body::from_stream(broken)).into_response();
        }
        let caller = request.extensions().get::<Caller>().cloned().expect("the mesh's own");
        let headers = request.headers().keys().map(|name| name.as_str().to_owned());
        let own: Vec<_> =
            headers.filter(|name| name.starts_with("holdfast-") || name == "x-stainless-timeout").collect();
        let told = json!({
            "caller": [caller.tenant().expect("one is named"), caller.role.name(), caller.principal],
            "path": request.uri().path(),
            "method": request.method().as_str(),
            "headers": own,
        });
        axum::Json(told).into_response()
    });
    let host = host.with_web("/v1", axum::Router::new().route("/v1/{*path}", answer));
    tokio::spawn(host.serve(Routes::default()));
    stop
}

async fn start(settings: &str) -> (Harness, Stop) {
    let (mut common, directory) = Harness::common();
    let stop = llm_proxy(&mut common).await;
    let queue = Queue::new(Mode::Accept).serve(&common).await.to_string();
    (Harness::before(&queue, common, directory, settings).await, stop)
}

fn post(key: Option<&str>) -> http::request::Builder {
    let request = Request::post("/v1/chat/completions").header("host", "localhost");
    key.into_iter().fold(request, |request, key| request.header("authorization", format!("Bearer {key}")))
}

async fn open(harness: &Harness, request: http::request::Builder) -> http::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(harness.url.trim_start_matches("http://")).await.expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP/1.1");
    tokio::spawn(connection);
    let body = Full::new(Bytes::from_static(b"{}"));
    sender.send_request(request.body(body).expect("valid parts")).await.expect("an answer")
}

async fn send(harness: &Harness, request: http::request::Builder) -> (u16, HeaderMap, Bytes) {
    let (parts, body) = open(harness, request).await.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.expect("a whole body").to_bytes())
}

async fn told(harness: &Harness, request: http::request::Builder) -> (u16, Value) {
    let (status, _, body) = send(harness, request).await;
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn a_client_passes_as_whoever_its_key_says_and_may_say_how_urgent_its_call_is() {
    let (harness, _llm_proxy) = start(KEYED).await;
    for (key, caller) in [
        (KEY, ["acme", "operator", "boss"]),
        (CALLER_KEY, ["acme", "caller", "shop"]),
        (WORKER_KEY, ["umbrella", "worker", "hand"]),
    ] {
        let claims = post(Some(key)).header("holdfast-tenant", "other").header("holdfast-whatever", "x");
        let terms = claims
            .header("holdfast-priority", "7")
            .header("holdfast-timeout", "30")
            .header("x-stainless-timeout", "60");
        let (status, told) = told(&harness, terms).await;
        assert_eq!((status, &told["caller"]), (200, &json!(caller)));
        let mut passed: Vec<_> = told["headers"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
        passed.sort_unstable();
        let ours = ["holdfast-principal", "holdfast-priority", "holdfast-role", "holdfast-tenant", "holdfast-timeout"];
        assert_eq!(passed, [&ours[..], &["x-stainless-timeout"]].concat());
    }
}

#[tokio::test]
async fn every_path_of_the_api_passes() {
    let (harness, _llm_proxy) = start("").await;
    for path in ["/v1/models", "/v1/models/org/model", "/v1/embeddings"] {
        let (status, told) = told(&harness, Request::get(path).header("host", "localhost")).await;
        assert_eq!((status, &told["path"], &told["method"]), (200, &json!(path), &json!("GET")));
    }
}

#[tokio::test]
async fn this_doors_own_refusals_are_in_the_words_of_the_api() {
    let (harness, _llm_proxy) = start(&format!("{KEYED}\n[tenants.umbrella]\nrate = 0.01\nburst = 1\n")).await;
    for key in [None, Some("wrong-0123456789ab")] {
        let (status, told) = told(&harness, post(key)).await;
        assert_eq!((status, &told["error"]["code"]), (401, &json!("invalid_api_key")));
        assert_eq!(told["error"]["type"], "invalid_request_error");
    }
    let rebound = Request::post("/v1/chat/completions").header("host", "evil.test");
    let (status, told) = told(&harness, rebound.header("authorization", format!("Bearer {KEY}"))).await;
    assert_eq!((status, &told["error"]["code"]), (403, &json!("permission_denied")));

    assert_eq!(send(&harness, post(Some(WORKER_KEY))).await.0, 200);
    let (status, headers, body) = send(&harness, post(Some(WORKER_KEY))).await;
    let told: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, &told["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(headers["x-should-retry"], "false", "a token comes every 100 s");
    assert!(headers["retry-after"].to_str().expect("text").parse::<u64>().expect("seconds") >= 90);
}

#[tokio::test]
async fn a_name_by_which_its_clients_know_it_can_be_let_in() {
    let (harness, _llm_proxy) = start("[gateway.openai]\nhosts = [\"llm.test\"]").await;
    for (host, status) in [("llm.test", 200), ("localhost", 200), ("evil.test", 403)] {
        assert_eq!(told(&harness, Request::get("/v1/models").header("host", host)).await.0, status, "{host}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_behind_does_not_seem_whole() {
    let (harness, llm_proxy) = start("").await;
    let mut body = open(&harness, post(None).header("x-stream", "1")).await.into_body();
    let first = body.frame().await.expect("a frame").expect("it has begun").into_data().expect("data");
    assert_eq!(first, "data: {}\n\n");
    llm_proxy.cancel();
    let rest = body.collect().await.expect("it ends well").to_bytes();
    let last = rest.strip_prefix(b"data: ").expect("one more event");
    let told: Value = serde_json::from_slice(last).expect("JSON");
    assert_eq!(told["error"]["type"], "server_error", "{told}");
}

#[tokio::test]
async fn an_llm_proxy_that_is_gone_is_told_with_a_time_to_come_back() {
    let (harness, llm_proxy) = start("").await;
    llm_proxy.cancel();
    loop {
        let (status, headers, _) = send(&harness, post(None)).await;
        if status == 503 {
            assert!(headers.contains_key("retry-after") && headers["x-should-retry"] == "true");
            break;
        }
        tokio::task::yield_now().await;
    }
}
