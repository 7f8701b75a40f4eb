//! A provider of models and tools that repeat whatever they are shown, keys included. Some real ones do.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves until the test ends, each of the two ends under a path of its own.
#[derive(Debug)]
pub struct Gossip {
    address: SocketAddr,
}

impl Gossip {
    /// The prompt is what its answers speak of.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start(prompt: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket");
        let router = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/tools/{manner}", post(tool).get(tool))
            .route("/mcp", post(mcp))
            .with_state(prompt.to_owned());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address }
    }

    /// Where a path of it is.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// All that was shown.
fn all(headers: &HeaderMap, body: &[u8]) -> String {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    format!("{} | {}", headers.join("; "), String::from_utf8_lossy(body))
}

/// The upstream model's name says how it ends.
async fn chat(State(prompt): State<String>, headers: HeaderMap, body: Bytes) -> Response {
    let said = all(&headers, &body);
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let error = |status: StatusCode, code: &str| {
        let error = json!({"message": said, "type": "invalid_request_error", "param": said, "code": code});
        (status, [(header::RETRY_AFTER, "1")], Json(json!({ "error": error }))).into_response()
    };
    match request["model"].as_str().unwrap_or_default() {
        "denies" => error(StatusCode::UNAUTHORIZED, "invalid_api_key"),
        "forbids" => error(StatusCode::FORBIDDEN, "no_access"),
        "refuses" => error(StatusCode::BAD_REQUEST, "invalid_value"),
        "limits" => error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
        "breaks" => (StatusCode::INTERNAL_SERVER_ERROR, said).into_response(),
        "mumbles" => ([(header::CONTENT_TYPE, "application/json")], format!("{{\"choices\": {said}")).into_response(),
        _ => answer(&request, &prompt),
    }
}

/// Calls each tool that it is given, once, and then answers.
fn answer(request: &Value, prompt: &str) -> Response {
    let tools = request["tools"].as_array().filter(|_| !request.to_string().contains("\"role\":\"tool\""));
    let call = |(number, tool): (usize, &Value)| {
        let arguments = json!({ "text": prompt }).to_string();
        let function = json!({"name": tool["function"]["name"], "arguments": arguments});
        json!({"index": number, "id": format!("call-{number}"), "type": "function", "function": function})
    };
    let calls: Vec<_> = tools.into_iter().flatten().enumerate().map(call).collect();
    let mut message = json!({"role": "assistant", "content": format!("You said: {prompt}")});
    let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    if request["stream"] == true {
        let choice = json!({"index": 0, "delta": message, "finish_reason": finish});
        let chunk = json!({"id": "1", "object": "chat.completion.chunk", "model": "m", "created": 1,
            "choices": [choice], "usage": usage});
        return ([(header::CONTENT_TYPE, "text/event-stream")], format!("data: {chunk}\n\ndata: [DONE]\n\n"))
            .into_response();
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": finish});
    Json(json!({"id": "1", "object": "chat.completion", "model": "m", "created": 1, "choices": [choice], "usage": usage}))
        .into_response()
}

/// The tool's name says how it ends.
async fn tool(Path(manner): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let said = all(&headers, &body);
    match manner.as_str() {
        "fails" => (StatusCode::INTERNAL_SERVER_ERROR, said).into_response(),
        "denies" => (StatusCode::FORBIDDEN, Json(json!({ "error": said }))).into_response(),
        "mumbles" => ([(header::CONTENT_TYPE, "application/json")], format!("{{ {said}")).into_response(),
        "redirects" => (StatusCode::FOUND, [(header::LOCATION, "http://169.254.169.254/")], said).into_response(),
        // The caller's time is over before.
        "hangs" => std::future::pending().await,
        _ => Json(json!({ "heard": String::from_utf8_lossy(&body) })).into_response(),
    }
}

/// A server of tools that lets nobody in, and says whom.
async fn mcp(headers: HeaderMap, body: Bytes) -> Response {
    (StatusCode::UNAUTHORIZED, all(&headers, &body)).into_response()
}
