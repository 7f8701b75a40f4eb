//! What comes over HTTP, well and ill.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::client::http_client;
use super::hanging::Hanging;
use crate::harness::{Harness, tool};
use crate::tool_server::Does;

async fn mesh() -> Harness {
    let config = |server: &crate::tool_server::ToolServer| {
        format!(
            "[tool_proxy]\narguments_bytes_max = \"1KiB\"\nmcp = {{ origins = [\"https://app.test\"] }}\n{}",
            tool("look", &server.url("/look"), "effect = \"read_only\"")
        )
    };
    let mesh = Harness::start(config).await;
    mesh.server.on("/look", Does::Answer(200, json!({"seen": true})));
    mesh
}

fn post(mesh: &Harness, body: impl Into<reqwest::Body>) -> RequestBuilder {
    http_client()
        .post(format!("{}/mcp", mesh.url()))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body)
}

fn message(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

async fn answered(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("it answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a whole body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn a_call_by_hand_is_one_request_and_one_json_object() {
    let mesh = mesh().await;
    let look = || post(&mesh, message("tools/call", &json!({"name": "look", "arguments": {}})));
    let (status, answer) = answered(look()).await;
    assert_eq!((status, &answer["result"]["structuredContent"]), (200, &json!({"seen": true})));
    assert_eq!(answer["result"]["_meta"]["holdfast/outcome"], "real");

    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    answered(look().header("traceparent", traceparent)).await;
    assert!(mesh.server.hits("/look")[1].header("traceparent").contains("0af7651916cd43dd8448eb211c80319c"));

    let client = json!({"name": "t", "version": "1"});
    let begin = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    let begun = post(&mesh, message("initialize", &begin)).send().await.expect("it answers");
    assert!(begun.headers().contains_key("mcp-session-id"), "an older client gets a name for its session");
    let begun: Value = serde_json::from_str(&begun.text().await.expect("a whole body")).expect("JSON");
    assert_eq!(begun["result"]["protocolVersion"], "2025-06-18");
}

#[tokio::test]
async fn what_is_no_message_is_refused_in_words() {
    let mesh = mesh().await;
    let ill = |body: &'static str| post(&mesh, body);
    for (body, code) in [
        ("{", -32_700),
        ("not json", -32_700),
        ("[]", -32_600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32_600),
        (r#"{"id":1,"method":"ping"}"#, -32_600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32_600),
        ("4", -32_600),
    ] {
        let (status, answer) = answered(ill(body)).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{body}: {answer}");
    }
    for (method, params, code) in [
        ("tools/call", json!({"name": 5}), -32_602),
        ("tools/call", json!({"name": "look", "arguments": [1]}), -32_602),
        ("tools/call", json!({}), -32_602),
        ("tools/fly", json!({}), -32_601),
    ] {
        let (_, answer) = answered(post(&mesh, message(method, &params))).await;
        assert_eq!(answer["error"]["code"], json!(code), "{method} {params}: {answer}");
    }
    assert!(mesh.server.hits("/look").is_empty());
}

#[tokio::test]
async fn a_request_of_the_wrong_kind_is_refused_by_its_status() {
    let mesh = mesh().await;
    let look = message("tools/call", &json!({"name": "look", "arguments": {}}));
    let url = format!("{}/mcp", mesh.url());
    let accept = "application/json, text/event-stream";
    let bare = |method: Method| http_client().request(method, &url);
    let cases = [
        (bare(Method::POST).header("accept", accept).header("content-type", "text/plain").body(look.clone()), 415),
        (bare(Method::POST).header("accept", accept).body(look.clone()), 415),
        (
            bare(Method::POST)
                .header("accept", "text/html")
                .header("content-type", "application/json")
                .body(look.clone()),
            406,
        ),
        (post(&mesh, "x".repeat(100 << 10)), 413),
        (post(&mesh, look.clone()).header("mcp-protocol-version", "1999-01-01"), 400),
        (bare(Method::PUT).body(look.clone()), 405),
        (bare(Method::GET), 406),
        (bare(Method::DELETE), 204),
    ];
    for (request, status) in cases {
        let said = format!("{request:?}");
        assert_eq!(answered(request).await.0, status, "{said}");
    }
    assert!(mesh.server.hits("/look").is_empty());
}

#[tokio::test]
async fn a_page_that_has_its_name_resolve_to_this_machine_gets_nothing() {
    let mesh = mesh().await;
    let look = || post(&mesh, message("tools/call", &json!({"name": "look", "arguments": {}})));
    for (header, value) in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("origin", "http://localhost:7073"),
        ("host", "evil.test"),
        ("host", "evil.test:7073"),
    ] {
        let (status, answer) = answered(look().header(header, value)).await;
        assert_eq!((status, &answer["error"]["type"]), (403, &json!("PERMISSION_DENIED")), "{header}: {value}");
    }
    assert!(mesh.server.hits("/look").is_empty());
    assert_eq!(answered(look().header("origin", "https://app.test")).await.0, 200, "it is configured");
    for method in [Method::GET, Method::DELETE] {
        let request = http_client().request(method, format!("{}/mcp", mesh.url()));
        let request = request.header("accept", "text/event-stream").header("origin", "https://evil.test");
        assert_eq!(answered(request).await.0, 403);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_call_at_the_tool() {
    let hanging = Hanging::start().await;
    let mesh = Harness::start(|_| tool("hang", &hanging.url(), "effect = \"read_only\"\ntimeout = \"60s\"")).await;
    let request = post(&mesh, message("tools/call", &json!({"name": "hang", "arguments": {}})));
    let waiting = tokio::spawn(request.send());
    hanging.arrived(1).await;
    waiting.abort();
    hanging.gone(1).await;
}

#[tokio::test]
async fn a_call_is_cancelled_by_its_own_session_only() {
    let hanging = Hanging::start().await;
    let mesh = Harness::start(|_| tool("hang", &hanging.url(), "effect = \"read_only\"\ntimeout = \"60s\"")).await;
    let call = message("tools/call", &json!({"name": "hang", "arguments": {}}));
    let waiting = tokio::spawn(answered(post(&mesh, call).header("mcp-session-id", "mine")));
    hanging.arrived(1).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}).to_string();
    let other = post(&mesh, cancel.clone()).header("mcp-session-id", "another").send().await.expect("it answers");
    assert_eq!(other.status(), StatusCode::ACCEPTED);
    assert!(!waiting.is_finished());
    let own = post(&mesh, cancel).header("mcp-session-id", "mine").send().await.expect("it answers");
    assert_eq!(own.status(), StatusCode::ACCEPTED);
    hanging.gone(1).await;
    let (status, answer) = waiting.await.expect("no panic");
    assert_eq!((status, answer), (202, json!("")), "what is cancelled is not answered");
}

#[tokio::test]
async fn a_deadline_in_the_header_ends_the_call_within_it() {
    let hanging = Hanging::start().await;
    let mesh = Harness::start(|_| tool("hang", &hanging.url(), "effect = \"read_only\"\ntimeout = \"60s\"")).await;
    let call = post(&mesh, message("tools/call", &json!({"name": "hang", "arguments": {}})));
    let (status, answer) = answered(call.header("grpc-timeout", "500m")).await;
    assert_eq!((status, &answer["result"]["_meta"]["holdfast/outcome"]), (200, &json!("unavailable")), "{answer}");
    assert_eq!(answer["result"]["_meta"]["holdfast/reason"], "TIMEOUT");
}
