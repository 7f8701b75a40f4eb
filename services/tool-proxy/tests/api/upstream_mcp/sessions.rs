//! Sessions that servers of the older revisions forget.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use holdfast_proto::tool::v1::Outcome;
use holdfast_rpc::status;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;
use tonic::Code;

use super::at;
use super::server::{Era, McpServer, plain};
use crate::harness::{Harness, tool};
use crate::tool_server::Does;

#[tokio::test]
async fn an_expired_session_is_made_anew_within_the_call_and_the_effect_happens_once() {
    let server = McpServer::start(Era::Sessions, vec![plain("pay")]).await;
    let mesh = Harness::start(|_| at("far", &server.url(), "")).await;
    mesh.call("far_pay", json!({"n": 0})).await.expect("it answers");

    for round in 1..=3 {
        server.forget_sessions().await;
        let answer = mesh.call("far_pay", json!({"n": round})).await.expect("it answers");
        assert_eq!((answer.outcome(), answer.timing.map(|timing| timing.attempts)), (Outcome::Real, Some(1)));
        assert_eq!(server.seen("pay").len(), round + 1, "once for each call");
    }
    assert_eq!(server.seen("initialized").len(), 4);
}

#[tokio::test]
async fn many_calls_that_find_the_session_gone_share_one_new_one_and_each_is_made_once() {
    let server = McpServer::start(Era::Sessions, vec![plain("pay")]).await;
    let mesh = Harness::start(|_| at("far", &server.url(), "concurrency = 50")).await;
    mesh.call("far_pay", json!({"n": 0})).await.expect("it answers");
    server.forget_sessions().await;

    let calls = (1..=40).map(|n| mesh.call("far_pay", json!({"n": n})));
    for answer in join_all(calls).await {
        assert_eq!(answer.expect("it answers").outcome(), Outcome::Real);
    }
    let mut paid: Vec<_> = server.seen("pay").iter().map(|seen| seen.arguments["n"].as_i64()).collect();
    paid.sort_unstable();
    assert_eq!(paid, (0..=40).map(Some).collect::<Vec<_>>());
}

/// A server that denies sessions with an error of its own, as the TypeScript SDK's examples do.
#[derive(Clone, Default)]
struct Denying {
    sessions: Arc<Mutex<(u32, Vec<String>)>>,
    called: Arc<Mutex<Vec<String>>>,
    /// How often a session was asked for.
    asked: Arc<watch::Sender<u32>>,
    /// New sessions wait for it, where there is one.
    gate: Arc<Mutex<Option<Arc<Semaphore>>>>,
    /// Whether sessions are denied in plain text.
    plainly: Arc<AtomicBool>,
    /// What is called to wait waits for it.
    release: Arc<Notify>,
    /// Whether lists are left without an answer.
    mute: Arc<AtomicBool>,
    listed: Arc<watch::Sender<u32>>,
}

/// The words that a session is denied with.
const DENIAL: &str = "Bad Request: No valid session ID provided";

impl Denying {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let router = axum::Router::new().route("/mcp", axum::routing::post(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn forget(&self) {
        self.sessions.lock().expect("no panic").1.clear();
    }

    fn called(&self) -> Vec<String> {
        self.called.lock().expect("no panic").clone()
    }

    /// Makes who wants a new session wait.
    fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().expect("no panic") = Some(Arc::clone(&gate));
        gate
    }

    async fn open(&self) -> String {
        self.asked.send_modify(|asked| *asked += 1);
        let gate = self.gate.lock().expect("no panic").clone();
        if let Some(gate) = gate {
            gate.acquire().await.expect("it is never closed").forget();
        }
        let mut sessions = self.sessions.lock().expect("no panic");
        sessions.0 += 1;
        let session = format!("s{}", sessions.0);
        sessions.1.push(session.clone());
        session
    }

    fn knows(&self, session: &str) -> bool {
        self.sessions.lock().expect("no panic").1.iter().any(|known| known == session)
    }

    /// What the one tool does depends on its argument.
    async fn call(&self, does: &str) -> Value {
        self.called.lock().expect("no panic").push(does.to_owned());
        match does {
            // It has acted, and with that its session has ended.
            "complain" => {
                self.forget();
                json!({"error": {"code": -32000, "message": DENIAL}})
            }
            "wait" => {
                self.release.notified().await;
                json!({"result": {"content": [{"type": "text", "text": "waited"}]}})
            }
            _ => json!({"result": {"content": [{"type": "text", "text": "done"}]}}),
        }
    }
}

async fn answer(State(server): State<Denying>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    let method = request["method"].as_str().unwrap_or_default();
    let body = |mut body: Value| {
        body["jsonrpc"] = "2.0".into();
        body["id"] = request["id"].clone();
        Json(body)
    };
    let session = headers.get("mcp-session-id").and_then(|value| value.to_str().ok());
    match (session, method) {
        (None, "initialize") => {
            let info = json!({"result": {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "denying", "version": "1"},
            }});
            ([("mcp-session-id", server.open().await)], body(info)).into_response()
        }
        (Some(session), method) if server.knows(session) => match method {
            "tools/list" => {
                server.listed.send_modify(|listed| *listed += 1);
                if server.mute.load(Relaxed) {
                    std::future::pending::<()>().await;
                }
                body(json!({"result": {"tools": [{"name": "act", "inputSchema": {"type": "object"}}]}})).into_response()
            }
            "tools/call" => match request["params"]["arguments"]["does"].as_str().unwrap_or_default() {
                "flood" => flood("application/json", "{\"jsonrpc\": \""),
                "flood in events" => flood("text/event-stream", "data: "),
                does => body(server.call(does).await).into_response(),
            },
            "ping" => body(json!({"result": {}})).into_response(),
            _ => StatusCode::ACCEPTED.into_response(),
        },
        _ if server.plainly.load(Relaxed) => (StatusCode::BAD_REQUEST, DENIAL).into_response(),
        _ => {
            let denied = json!({"error": {"code": -32000, "message": DENIAL}});
            (StatusCode::BAD_REQUEST, body(denied)).into_response()
        }
    }
}

/// More than anybody wants, and no end.
fn flood(content_type: &'static str, start: &'static str) -> Response {
    let pieces = [Bytes::from(start)].into_iter().chain((0..48).map(|_| Bytes::from(vec![b'x'; 64 << 10])));
    let endless = stream::iter(pieces.map(Ok::<_, Infallible>)).chain(stream::pending());
    ([("content-type", content_type)], Body::from_stream(endless)).into_response()
}

#[tokio::test]
async fn a_session_that_is_denied_in_other_words_than_404_is_made_anew_too() {
    let server = Denying::default();
    let url = format!("http://{}/mcp", server.start().await);
    let mesh = Harness::start(|_| at("far", &url, "")).await;
    mesh.call("far_act", json!({"does": "first"})).await.expect("it answers");

    server.forget();
    let answer = mesh.call("far_act", json!({"does": "second"})).await.expect("it answers");
    assert_eq!((answer.outcome(), answer.content.as_ref()), (Outcome::Real, &b"done"[..]));
    assert_eq!(server.called(), ["first", "second"]);
}

#[tokio::test]
async fn a_tools_own_word_about_sessions_does_not_make_it_act_twice() {
    let server = Denying::default();
    let url = format!("http://{}/mcp", server.start().await);
    let mesh = Harness::start(|_| at("far", &url, "")).await;
    let answer = mesh.call("far_act", json!({"does": "complain"})).await.expect("it is told");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unknown, "MCP_-32000"));
    assert_eq!(server.called(), ["complain"]);
    let answer = mesh.call("far_act", json!({"does": "go on"})).await.expect("it answers");
    assert_eq!((answer.outcome(), server.called().len()), (Outcome::Real, 2));
}

#[tokio::test]
async fn a_worker_that_is_superseded_while_a_session_is_made_anew_does_not_get_through() {
    let server = Denying::default();
    let url = format!("http://{}/mcp", server.start().await);
    let mesh = Harness::start(|elsewhere| {
        at("far", &url, "connect_timeout = \"9s\"") + &tool("other", &elsewhere.url("/other"), "effect = \"read_only\"")
    })
    .await;
    mesh.server.on("/other", Does::Answer(200, json!({})));
    let (old, new) = (mesh.lease("inv", 10), mesh.lease("inv", 11));
    mesh.step(&old, 1, "far_act", json!({"does": "first"})).await.expect("it holds the lease");

    server.forget();
    let (mut asked, gate) = (server.asked.subscribe(), server.hold());
    let before = *asked.borrow_and_update();
    let (refused, ()) = tokio::join!(mesh.step(&old, 2, "far_act", json!({"does": "second"})), async {
        asked.wait_for(|asked| *asked > before).await.expect("the server lives");
        mesh.step(&new, 3, "other", json!({})).await.expect("its successor works elsewhere");
        gate.add_permits(100);
    });
    let refused = refused.expect_err("it was superseded after its call had been denied");
    assert_eq!((refused.code(), status::reason(&refused).as_deref()), (Code::FailedPrecondition, Some("FENCED")));
    assert_eq!(server.called(), ["first"]);
    let answer = mesh.step(&new, 4, "far_act", json!({"does": "third"})).await.expect("it answers");
    assert_eq!((answer.outcome(), server.called()), (Outcome::Real, vec!["first".to_owned(), "third".to_owned()]));
}

#[tokio::test]
async fn a_session_that_is_denied_in_plain_text_is_replaced_without_waiting_for_the_next_refresh() {
    let server = Denying::default();
    let url = format!("http://{}/mcp", server.start().await);
    let mesh = Harness::start(|_| at("far", &url, "refresh = \"1h\"")).await;
    mesh.call("far_act", json!({"does": "first"})).await.expect("it answers");

    server.forget();
    server.plainly.store(true, Relaxed);
    let mut asked = server.asked.subscribe();
    let before = *asked.borrow_and_update();
    let answer = mesh.call("far_act", json!({"does": "second"})).await.expect("it is told");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unknown, "HTTP_400"));
    let anew = timeout(Duration::from_secs(20), asked.wait_for(|asked| *asked > before)).await;
    anew.expect("a new one is asked for").expect("the server lives");
    assert_eq!(server.called(), ["first"]);
}

#[tokio::test]
async fn a_lost_session_neither_ends_what_is_under_way_nor_makes_others_wait_for_it() {
    let server = Denying::default();
    let url = format!("http://{}/mcp", server.start().await);
    let mesh = Harness::start(|_| at("far", &url, "timeout = \"60s\"")).await;
    mesh.call("far_act", json!({"does": "first"})).await.expect("it answers");

    let (waited, ()) = tokio::join!(mesh.call("far_act", json!({"does": "wait"})), async {
        while !server.called().contains(&"wait".to_owned()) {
            tokio::task::yield_now().await;
        }
        server.forget();
        let others = mesh.call("far_act", json!({"does": "other"}));
        let answer = timeout(Duration::from_secs(4), others).await.expect("at once").expect("it answers");
        assert_eq!(answer.outcome(), Outcome::Real);
        server.release.notify_one();
    });
    let waited = waited.expect("it answers");
    assert_eq!((waited.outcome(), waited.content.as_ref()), (Outcome::Real, &b"waited"[..]));
    assert_eq!(server.called(), ["first", "wait", "other"]);
}

#[tokio::test]
async fn an_answer_without_end_is_read_no_further_than_it_may_be_taken() {
    let server = Denying::default();
    let url = format!("http://{}/mcp", server.start().await);
    let more = "timeout = \"30s\"\nmax_response_bytes = \"64KiB\"\neffect = \"read_only\"";
    let mesh = Harness::start(|_| at("far", &url, more)).await;
    for does in ["flood", "flood in events"] {
        let answer = mesh.call("far_act", json!({"does": does})).await.expect("the fallback answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "ANSWER_TOO_LARGE"));
    }
}

#[tokio::test]
async fn a_proxy_that_ends_does_not_wait_for_a_list() {
    let server = Denying::default();
    let url = format!("http://{}/mcp", server.start().await);
    let mut mesh = Harness::start(|_| at("far", &url, "refresh = \"1s\"\ntimeout = \"60s\"")).await;
    mesh.call("far_act", json!({"does": "first"})).await.expect("it answers");
    server.mute.store(true, Relaxed);
    let mut listed = server.listed.subscribe();
    let before = *listed.borrow_and_update();
    listed.wait_for(|listed| *listed > before).await.expect("the server lives");
    timeout(Duration::from_secs(5), mesh.drain()).await.expect("it ends at once");
}
