//! MCP clients from outside, on their way to the tool-proxy.

use axum::extract::Request as Received;
use axum::response::IntoResponse as _;
use axum::routing::any;
use bytes::Bytes;
use holdfast_config::Common;
use holdfast_rpc::caller::Caller;
use holdfast_rpc::lease::{LeaseKey, LeaseToken};
use holdfast_rpc::service::{Host, Routes, Stop};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{CALLER_KEY, Harness, KEY, KEYED, WORKER_KEY};
use crate::stand_in::{Mode, Queue};

/// A tool-proxy that tells what it was told, and waits for its end where it is asked for news.
async fn tool_proxy(common: &mut Common) -> Stop {
    let host = Host::bind("tool-proxy", "127.0.0.1:0", common).await.expect("a free port");
    common.mesh.tool_proxy = format!("http://{}", host.address());
    let (stop, ending) = (host.stop(), host.stop());
    let answer = any(async move |request: Received| {
        let subscribes = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
        if subscribes || request.method() == http::Method::GET {
            let end = futures::stream::once(async move {
                ending.cancelled().await;
                Ok::<_, std::io::Error>(Bytes::new())
            });
            return axum::body::Body::from_stream(end).into_response();
        }
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>().cloned().expect("the mesh's own");
        let body = axum::body::to_bytes(body, 1 << 20).await.expect("a whole body");
        let told = json!({
            "caller": [caller.tenant().expect("one is named"), caller.role.name(), caller.principal],
            "lease": parts.headers.contains_key("holdfast-lease"),
            "session": parts.headers.get("mcp-session-id").and_then(|value| value.to_str().ok()),
            "origin": parts.headers.contains_key("origin"),
            "body": String::from_utf8_lossy(&body),
        });
        axum::Json(told).into_response()
    });
    let host = host.with_web("/mcp", axum::Router::new().route("/mcp", answer));
    tokio::spawn(host.serve(Routes::default()));
    stop
}

async fn start(settings: &str) -> (Harness, Stop) {
    let (mut common, directory) = Harness::common();
    let stop = tool_proxy(&mut common).await;
    let queue = Queue::new(Mode::Accept).serve(&common).await.to_string();
    (Harness::before(&queue, common, directory, settings).await, stop)
}

async fn send(harness: &Harness, request: http::request::Builder) -> Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(harness.url.trim_start_matches("http://")).await.expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP/1.1");
    tokio::spawn(connection);
    let body = Full::new(Bytes::from_static(b"{\"jsonrpc\":\"2.0\"}"));
    sender.send_request(request.body(body).expect("valid parts")).await.expect("an answer")
}

async fn told(harness: &Harness, request: http::request::Builder) -> (u16, Value) {
    let answer = send(harness, request).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

fn post(key: Option<&str>) -> http::request::Builder {
    let request = Request::post("/mcp").header("host", "localhost").header("content-type", "application/json");
    key.into_iter().fold(request, |request, key| request.header("authorization", format!("Bearer {key}")))
}

#[tokio::test]
async fn an_mcp_client_passes_as_whoever_its_key_says() {
    let (harness, _tool_proxy) = start(KEYED).await;
    for (key, caller) in [
        (KEY, ["acme", "operator", "boss"]),
        (CALLER_KEY, ["acme", "caller", "shop"]),
        (WORKER_KEY, ["umbrella", "worker", "hand"]),
    ] {
        let claims = post(Some(key)).header("holdfast-tenant", "other").header("holdfast-role", "mesh");
        let (status, told) = told(&harness, claims.header("mcp-session-id", "s")).await;
        assert_eq!((status, &told["caller"], &told["session"]), (200, &json!(caller), &json!("s")));
        assert_eq!(told["body"], "{\"jsonrpc\":\"2.0\"}");
    }
    for key in [None, Some("wrong-0123456789ab")] {
        let stranger = send(&harness, post(key)).await;
        assert_eq!((stranger.status().as_u16(), stranger.headers().contains_key("www-authenticate")), (401, true));
    }
}

#[tokio::test]
async fn a_page_that_has_its_name_resolve_to_the_gateway_gets_nothing() {
    let (harness, _tool_proxy) = start("").await;
    assert_eq!(told(&harness, post(None)).await.0, 200, "an open mesh on loopback");
    let rebound = Request::post("/mcp").header("host", "evil.test").header("content-type", "application/json");
    let (status, answer) = told(&harness, rebound).await;
    assert_eq!((status, &answer["error"]["type"]), (403, &json!("PERMISSION_DENIED")));
    let page = post(None).header("origin", "https://evil.test");
    assert_eq!(told(&harness, page).await.1["origin"], true, "the tool-proxy knows which origins it takes");
}

#[tokio::test]
async fn behind_a_proxy_that_keeps_its_clients_host_that_name_can_be_let_in() {
    let (harness, _tool_proxy) = start("[gateway.mcp]\nhosts = [\"tools.test\"]").await;
    let meant = |host: &str| Request::post("/mcp").header("host", host).header("content-type", "application/json");
    for (host, status) in [("tools.test", 200), ("localhost", 200), ("evil.test", 403)] {
        assert_eq!(told(&harness, meant(host)).await.0, status, "{host}");
    }
}

/// As a client of the current revision asks for news.
fn subscription() -> http::request::Builder {
    post(None).header("mcp-protocol-version", "2026-07-28").header("mcp-method", "subscriptions/listen")
}

#[tokio::test]
async fn who_waits_for_news_takes_no_calls_place_and_has_a_limit_of_its_own() {
    let (harness, _tool_proxy) = start("[gateway]\ntenant_concurrency = 1\ntenant_waiting_max = 1\n").await;
    let news = send(&harness, subscription()).await;
    assert_eq!(news.status().as_u16(), 200);
    assert_eq!(told(&harness, post(None)).await.0, 200, "the place for a call is free");
    let lease = LeaseKey::load(&harness.common).expect("the mesh's").sign(&LeaseToken {
        tenant: "default".into(),
        invocation_id: "i".into(),
        ..LeaseToken::default()
    });
    for second in [subscription(), subscription().header("holdfast-lease", lease)] {
        assert_eq!(send(&harness, second).await.status().as_u16(), 429, "a lease is for work, not for waiting");
    }
}

#[tokio::test]
async fn a_drain_ends_the_streams_of_news() {
    let (harness, _tool_proxy) = start("").await;
    let older = send(&harness, Request::get("/mcp").header("host", "localhost")).await;
    let newer = send(&harness, subscription()).await;
    assert_eq!((older.status().as_u16(), newer.status().as_u16()), (200, 200));
    harness.drained().await;
    for news in [older, newer] {
        news.into_body().collect().await.expect("it ends well");
    }
}

#[tokio::test]
async fn a_tool_proxy_that_is_gone_is_told_with_a_time_to_come_back() {
    let (harness, tool_proxy) = start("").await;
    tool_proxy.cancel();
    loop {
        let answer = send(&harness, post(None)).await;
        if answer.status().as_u16() == 503 {
            assert!(answer.headers().contains_key("retry-after"));
            break;
        }
        tokio::task::yield_now().await;
    }
}
