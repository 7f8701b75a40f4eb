//! A real server: `@modelcontextprotocol/server-everything`, over both transports, killed and started again underneath.
//! `tests/run` installs it (`tests/node/prepare`) and says where; without it these tests are skipped.

use std::path::PathBuf;
use std::time::Duration;

use holdfast_proto::tool::v1::Outcome;
use holdfast_testkit::{Process, Signal, free_ports};
use serde_json::json;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::{at, until_listed};
use crate::harness::Harness;

const SERVER: &str = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";

/// A call is not to end by its time, nor the circuit to open while the server is away.
const MORE: &str = "breaker.minimum_calls = 10000\ntimeout = \"60s\"";
const HOSTS: &str = "[tool_proxy]\nhost_breaker.minimum_calls = 10000\n";

const LONG: &str = "every_trigger-long-running-operation";

fn installed() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("HOLDFAST_TEST_NODE") else {
        eprintln!("SKIPPED: HOLDFAST_TEST_NODE is not set (tests/run sets it)");
        return None;
    };
    let script = PathBuf::from(folder).join(SERVER);
    assert!(script.is_file(), "{} is missing: type tests/node/prepare", script.display());
    Some(script)
}

fn serve(script: &PathBuf, port: u16, directory: &std::path::Path) -> Process {
    let mut command = Command::new("node");
    command.arg(script).arg("streamableHttp").env("PORT", port.to_string());
    Process::start("everything", command, directory)
}

/// Calls `echo` until the server itself answers.
async fn until_answered(mesh: &Harness, text: &str) {
    let answered = async {
        loop {
            let answer = mesh.call("every_echo", json!({"message": text})).await;
            if answer.is_ok_and(|answer| answer.outcome() == Outcome::Real) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(Duration::from_secs(30), answered).await.is_ok(), "the server does not answer");
}

#[tokio::test]
async fn the_real_server_serves_over_http_and_is_taken_up_again_after_its_death() {
    let Some(script) = installed() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = free_ports(1);
    let mut server = serve(&script, port, dir.path());
    let url = format!("http://127.0.0.1:{port}/mcp");
    let mesh = Harness::start(|_| HOSTS.to_owned() + &at("every", &url, MORE)).await;
    until_listed(&mesh, |names| names.contains(&"every_echo".to_owned())).await;

    let answer = mesh.call("every_echo", json!({"message": "hello"})).await.expect("it answers");
    assert_eq!((answer.outcome(), answer.content.as_ref()), (Outcome::Real, &b"Echo: hello"[..]));
    let refused = mesh.call("every_echo", json!({"message": 7})).await.expect_err("it must be text");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);

    let (answer, ()) = tokio::join!(mesh.call(LONG, json!({"duration": 60, "steps": 2})), async {
        // It is under way for sure once something that came later is answered.
        mesh.call("every_echo", json!({"message": "after"})).await.expect("it answers");
        server.kill().await;
    });
    let answer = answer.expect("it is told");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unknown, "BROKEN"));
    let answer = mesh.call("every_echo", json!({"message": "nobody"})).await.expect("the fallback answers");
    assert_eq!(answer.outcome(), Outcome::Unavailable, "nothing was sent: {}", answer.degraded_reason);

    // The new one knows nothing of the session, and says so with an error of its own.
    let _server = serve(&script, port, dir.path());
    until_answered(&mesh, "again").await;
}

#[tokio::test]
async fn the_real_server_serves_over_its_standard_input_and_is_started_again_after_its_death() {
    let Some(script) = installed() else { return };
    let command = format!(
        "[mcp.every]\ncommand = [\"sh\", \"-c\", \"echo $$ > $PID_FILE; exec node $0 stdio\", {script:?}]\n\
         connect_timeout = \"9s\"\n{MORE}\n\
         fallback = [{{ kind = \"unavailable\", advice = \"A\" }}]\n"
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    let pid_file = dir.path().join("pid");
    let pid = || std::fs::read_to_string(&pid_file).expect("it has started").trim().parse().expect("a process id");
    let mesh = Harness::start(|_| format!("{command}env = {{ PID_FILE = {pid_file:?} }}\n")).await;
    let answer = mesh.call("every_echo", json!({"message": "hello"})).await.expect("it answers");
    assert_eq!((answer.outcome(), answer.content.as_ref()), (Outcome::Real, &b"Echo: hello"[..]));

    let first: u32 = pid();
    let (answer, ()) = tokio::join!(mesh.call(LONG, json!({"duration": 60, "steps": 2})), async {
        mesh.call("every_echo", json!({"message": "after"})).await.expect("it answers");
        Signal::Kill.send(first).await;
    });
    let answer = answer.expect("it is told");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unknown, "BROKEN"));
    until_answered(&mesh, "again").await;
    assert_ne!(pid(), first);
}
