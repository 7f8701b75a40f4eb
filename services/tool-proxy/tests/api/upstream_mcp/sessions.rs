//! Sessions that servers of the older revisions forget.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::future::join_all;
use holdfast_proto::tool::v1::Outcome;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::at;
use super::server::{Era, McpServer, plain};
use crate::harness::Harness;

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
}

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

    fn open(&self) -> String {
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
    fn call(&self, does: &str) -> Value {
        self.called.lock().expect("no panic").push(does.to_owned());
        match does {
            "complain" => json!({"error": {"code": -32000, "message": "the browser session is unknown"}}),
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
            ([("mcp-session-id", server.open())], body(info)).into_response()
        }
        (Some(session), method) if server.knows(session) => match method {
            "tools/list" => {
                body(json!({"result": {"tools": [{"name": "act", "inputSchema": {"type": "object"}}]}})).into_response()
            }
            "tools/call" => {
                body(server.call(request["params"]["arguments"]["does"].as_str().unwrap_or_default())).into_response()
            }
            "ping" => body(json!({"result": {}})).into_response(),
            _ => StatusCode::ACCEPTED.into_response(),
        },
        _ => {
            let denied = json!({"error": {"code": -32000, "message": "Bad Request: No valid session ID provided"}});
            (StatusCode::BAD_REQUEST, body(denied)).into_response()
        }
    }
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
}
