//! The official Python SDK as a client: the current line in both of its eras, and the older one.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::hanging::Hanging;
use crate::harness::{Harness, tool};
use crate::tool_server::Does;

const KEY: &str = "python-key-0123456789";

/// The project's own Python; None, said on stderr, where `tests/python/prepare` has not made it.
fn python(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("HOLDFAST_TEST_PYTHON") else {
        eprintln!("SKIPPED: HOLDFAST_TEST_PYTHON is not set (tests/run sets it)");
        return None;
    };
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut command = Command::new(python);
    command.arg(format!("{project}/tests/python/{script}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    Some(command)
}

async fn mesh(hanging: &Hanging) -> Harness {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("key");
    std::fs::write(&path, KEY).expect("it is written");
    let mesh = Harness::start(|server| {
        let key = path.display();
        let schema = r#"schema = '{"type":"object","properties":{"q":{"type":"string"}}}'"#;
        let read_only = "effect = \"read_only\"";
        format!("[[gateway.keys]]\nname = \"py\"\nkey = \"file:{key}\"\ntenant = \"acme\"\nrole = \"operator\"\n")
            + &tool("look", &server.url("/look"), &format!("{read_only}\n{schema}"))
            + &tool("find", &server.url("/find"), "")
            + &tool("hang", &hanging.url(), &format!("{read_only}\ntimeout = \"60s\""))
    })
    .await;
    mesh.server.on("/look", Does::Answer(200, json!({"seen": true})));
    mesh.server.on("/find", Does::Answer(404, json!({"error": "no such customer"})));
    mesh
}

/// What a client of either line saw.
fn check(report: &Value, version: &str) {
    assert_eq!((&report["version"], &report["server"]), (&json!(version), &json!("holdfast")), "{report}");
    assert_eq!(report["tools"], json!({"find": false, "hang": true, "look": true}));
    assert_eq!(report["found"], json!([{"seen": true}, false, "real"]));
    assert_eq!(report["missing"], json!([{"error": "no such customer"}, true, "tool_error"]));
    assert_eq!(report["refused"], json!([-32_602, "arguments/q"]));
}

#[tokio::test]
async fn the_current_sdk_lists_calls_fails_and_cancels_in_both_eras() {
    for (mode, version) in [("auto", "2026-07-28"), ("legacy", "2025-11-25")] {
        let Some(mut command) = python("mcp_client.py") else { return };
        let hanging = Hanging::start().await;
        let mesh = mesh(&hanging).await;
        let mut client = command.args([&format!("{}/mcp", mesh.url()), KEY, mode]).spawn().expect("it starts");
        let mut commands = client.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(client.stdout.take().expect("it is piped")).lines();

        tokio::select! {
            () = hanging.arrived(1) => {}
            line = lines.next_line() => panic!("{mode}: it ended before it hung: {line:?}"),
        }
        commands.write_all(b"cancel\n").await.expect("it listens");
        let report = lines.next_line().await.expect("text").expect("the client prints one JSON line");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        // The client is still there: it is the cancelling that the tool notices.
        hanging.gone(1).await;

        check(&report, version);
        assert_eq!((&report["cancelled"], &report["unknown"]), (&json!(true), &json!([-32_602, null])), "{mode}");
        commands.write_all(b"end\n").await.expect("it listens");
        assert!(client.wait().await.expect("it ends").success());
    }
}

#[tokio::test]
async fn the_older_sdk_lists_calls_and_fails() {
    let Some(mut command) = python("mcp_client_older.py") else { return };
    let mesh = mesh(&Hanging::start().await).await;
    command.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/older"));
    let output = command.args([&format!("{}/mcp", mesh.url()), KEY]).output().await.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the client prints one JSON line");
    check(&report, "2025-11-25");
    assert_eq!(report["has_session"], true);
}
