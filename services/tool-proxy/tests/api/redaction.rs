//! What of arguments and results is seen outside of the call: nothing, unless the operator asks for it, and then all but
//! what is to be left out. Everything that the service says, at whatever level, is listened to.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use holdfast_proto::tool::v1::Outcome;
use serde_json::{Value, json};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::{self, MakeWriter};

use crate::cancelling::{begin, in_line, occupied, slow};
use crate::harness::{Harness, tool};
use crate::tool_server::Does;
use crate::upstream_mcp::at;
use crate::upstream_mcp::server::{ERAS, McpServer, plain};

/// Found nowhere.
const CANARY: &str = "canary-4711-secret";
/// Found where content is traced.
const PLAIN: &str = "plainly-visible";

/// Everything that is said: each line of the log, and each span with its fields when it ends.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Listens from now on, to the services that are started by this thread too.
    fn listen() -> (Self, DefaultGuard) {
        let said = Self::default();
        let lines = fmt::fmt().with_max_level(tracing::Level::TRACE).with_span_events(FmtSpan::CLOSE).with_ansi(false);
        let guard = set_default(lines.with_writer(said.clone()).finish());
        (said, guard)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Said {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const CHAIN: &str = "attempts = 2\nbreaker = { minimum_calls = 2, open = \"1h\", open_max = \"1h\" }\n\
                     fallback = [{ kind = \"last_good\", max_age = \"1h\" }, { kind = \"unavailable\", advice = \"A\" }]";

fn arguments() -> Value {
    json!({"user": PLAIN, "password": CANARY, "cards": [{"Card_Number": CANARY}]})
}

/// Calls a tool in every way that it can end; everything that was said of it.
async fn all_that_is_said(more: &str) -> String {
    let (said, _listening) = Said::listen();
    let schema = r#"schema = '{"type":"object","properties":{"user":{"type":"string"}}}'"#;
    let more = format!("effect = \"read_only\"\n{schema}\n{CHAIN}\n{more}");
    let mesh = Harness::start(|server| tool("log_in", &server.url("/log_in"), &more)).await;
    let content = json!({
        "token": CANARY, "name": PLAIN, "packed": json!({"password": CANARY}).to_string(),
        "log": format!("Password={CANARY}"), "content": [{"type": "text", "text": format!("It is {CANARY}.")}],
    });
    let lease = mesh.lease("inv", 10);
    let mut step = 0;
    let ways = [
        (Does::Answer(200, content.clone()), Some(Outcome::Real)),
        (Does::Answer(422, content.clone()), Some(Outcome::ToolError)),
        (Does::Answer(500, content.clone()), Some(Outcome::Cached)),
        (Does::Answer(302, content), Some(Outcome::Cached)),
        (Does::Break, Some(Outcome::Cached)),
    ];
    for (does, outcome) in ways {
        mesh.server.on("/log_in", does);
        step += 1;
        for _ in 0..2 {
            let answer = mesh.step(&lease, step, "log_in", arguments()).await.expect("it answers");
            assert_eq!(Some(answer.outcome()), outcome);
            mesh.call("log_in", arguments()).await.expect("it answers");
        }
    }
    let ill = json!({"user": {"password": CANARY}});
    mesh.step(&lease, 99, "log_in", ill).await.expect_err("it does not fit the schema");
    mesh.step(&lease, 1, "log_in", json!({"password": CANARY})).await.expect_err("another call stands there");
    drop(mesh);
    said.text()
}

#[tokio::test]
async fn arguments_and_results_are_in_no_log_and_no_span_unless_asked_for() {
    let said = all_that_is_said("redact = [\"token\"]").await;
    assert!(said.contains("execute_tool log_in"), "it listens where spans end");
    assert!(!said.contains(CANARY), "{}", around(&said, CANARY));
    assert!(!said.contains(PLAIN), "{}", around(&said, PLAIN));
}

#[tokio::test]
async fn content_that_is_asked_for_is_in_the_span_without_what_is_to_be_left_out() {
    let said =
        all_that_is_said("trace_content = true\nredact = [\"/password\", \"card_number\", \"token\", \"password\"]")
            .await;
    for field in ["gen_ai.tool.call.arguments", "gen_ai.tool.call.result", PLAIN, "[redacted]"] {
        assert!(said.contains(field), "{field} is wanted");
    }
    assert!(!said.contains(CANARY), "{}", around(&said, CANARY));
}

#[tokio::test]
async fn what_stood_in_and_how_long_it_took_are_in_the_span() {
    let (said, listening) = Said::listen();
    let more = "effect = \"read_only\"\nattempts = 1\n\
                fallback = [{ kind = \"last_good\", max_age = \"1h\" }, { kind = \"fixed\", answer = 1 }]";
    let mesh = Harness::start(|_| tool("gone", "http://127.0.0.1:1/", more)).await;
    mesh.call("gone", json!({})).await.expect("it answers");
    drop((mesh, listening));
    let said = said.text();
    let told = [
        "holdfast.tool.outcome=\"degraded\"",
        "holdfast.tool.fallback=fixed",
        "holdfast.tool.fallbacks_tried=\"last_good\"",
        "holdfast.tool.attempts=1",
        "holdfast.tool.waited_ms=",
        "holdfast.tool.called_ms=",
        "error.type=\"CONNECT\"",
    ];
    for field in told {
        assert!(said.contains(field), "{field} is in no span: {}", around(&said, "execute_tool gone"));
    }
}

#[tokio::test]
async fn a_wait_for_a_place_has_a_span_of_its_own_below_its_call_and_a_call_that_waits_for_nobody_has_none() {
    let (said, listening) = Said::listen();
    let (mesh, gate, first) = occupied().await;
    let second = begin(&mesh, slow());
    in_line(&mesh, 1.0).await;
    gate.add_permits(2);
    for call in [first, second] {
        assert_eq!(call.await.expect("no panic").expect("it answers").outcome(), Outcome::Real);
    }
    drop((mesh, listening));
    let said = said.text();
    let ended = |line: &&str| line.contains("tool.wait{") && line.contains(" close ");
    let waits: Vec<&str> = said.lines().filter(ended).collect();
    assert_eq!(waits.len(), 1, "of the second alone: {waits:?}");
    let above = waits[0].split("tool.wait{").next().expect("it is in the line");
    let call = above.rsplit_once("execute_tool{").expect("its call is above it").1;
    assert!(call.ends_with("}:") && call.matches("}:").count() == 1, "and nothing between them: {above}");
}

/// For a failing test's reader: the lines with the text.
fn around(said: &str, text: &str) -> String {
    said.lines().filter(|line| line.contains(text)).take(5).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_an_mcp_server_hears_and_says_and_its_urls_query_are_in_no_log_and_no_span_unless_asked_for() {
    let (said, listening) = Said::listen();
    for era in ERAS {
        let mut server = McpServer::start(era, vec![plain("say"), plain("picky"), plain("structured")]).await;
        let mesh = Harness::start(|_| at("far", &format!("{}?key={CANARY}", server.url()), "")).await;
        for tool in ["far_say", "far_picky", "far_structured"] {
            mesh.call(tool, json!({"password": CANARY, "user": PLAIN})).await.expect("it answers");
        }
        server.kill();
        mesh.call("far_say", json!({"password": CANARY})).await.expect("it is told");
    }
    drop(listening);
    let said = said.text();
    assert!(said.contains("execute_tool far_say"), "it listens where spans end");
    assert!(said.contains("rmcp::"), "it listens to the library too");
    for text in [CANARY, PLAIN] {
        assert!(!said.contains(text), "{}", around(&said, text));
    }
}
