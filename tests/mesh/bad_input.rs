//! Bad input: a clear error that says what to do, no panic, nothing half-written.

use std::net::TcpListener;
use std::process::Output;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::{ListInvocationsRequest, SubmitInvocationRequest};
use holdfast_proto::queue::v1::{InvocationSpec, Payload};
use holdfast_testkit::{Mesh, executable};
use tempfile::TempDir;
use tokio::process::Command;
use tonic::Code;

const REFUSED: i32 = 3;
const USAGE: i32 = 2;

/// The command failed as it should, and its error says all of this.
#[track_caller]
fn fails(output: &Output, code: i32, says: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for word in says {
        assert!(text.contains(word), "{word:?} should be said:\n{text}");
    }
}

fn spec(agent: &str, data: impl Into<Vec<u8>>) -> SubmitInvocationRequest {
    let payload = Some(Payload { data: data.into().into(), content_type: String::new() });
    SubmitInvocationRequest { spec: Some(InvocationSpec { agent: agent.into(), payload, ..Default::default() }) }
}

#[tokio::test]
async fn bad_submissions_are_refused_and_leave_nothing_behind() {
    let config = "[gateway]\nextra_agents = [\"known\"]\n";
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State]).config(config).start().await;

    let unknown = mesh.command().args(["submit", "nobody", "{}"]).output().await.unwrap();
    fails(&unknown, REFUSED, &["nobody", "known"]);
    let malformed = mesh.command().args(["submit", "known", "{\"a\":"]).output().await.unwrap();
    fails(&malformed, USAGE, &["JSON"]);

    let mut gateway = mesh.invocations();
    let malformed = gateway.submit_invocation(spec("known", "{\"a\":")).await.unwrap_err();
    assert_eq!(malformed.code(), Code::InvalidArgument);
    assert_eq!(holdfast_rpc::status::field(&malformed).as_deref(), Some("spec.payload.data"));
    let oversized = format!("\"{}\"", "x".repeat(2 << 20));
    let oversized = gateway.submit_invocation(spec("known", oversized)).await.unwrap_err();
    assert_eq!(oversized.code(), Code::InvalidArgument, "{oversized}");
    let unnamed = gateway.submit_invocation(SubmitInvocationRequest::default()).await.unwrap_err();
    assert_eq!(unnamed.code(), Code::InvalidArgument, "{unnamed}");

    let held = gateway.list_invocations(ListInvocationsRequest::default()).await.unwrap().into_inner();
    assert_eq!(held.invocations.len(), 0);
}

/// A service that is started alone, with a configuration, in a directory of its own.
async fn start(service: &str, config: &str, env: &[(&str, &str)]) -> (Output, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("holdfast.toml"), config).unwrap();
    let mut command = Command::new(executable());
    command.arg(service).current_dir(directory.path()).envs(env.iter().copied()).kill_on_drop(true);
    (command.output().await.unwrap(), directory)
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_line() {
    let config = "[queue]\naddress = \"127.0.0.1:0\"\nlese = \"10s\"\n";
    let (output, directory) = start("queue", config, &[]).await;
    fails(&output, USAGE, &["holdfast.toml:3", "lese"]);
    assert!(!directory.path().join("holdfast-data").exists(), "nothing is written before the settings hold");
    let mut check = Command::new(executable());
    check.args(["check", "holdfast.toml"]).current_dir(directory.path());
    fails(&check.output().await.unwrap(), USAGE, &["holdfast.toml:3", "lese"]);
}

#[tokio::test]
async fn a_missing_secret_is_named_and_never_guessed() {
    let config = "[mesh]\ncredential = \"file:not-there.key\"\n";
    let (output, _) = start("state", config, &[("HOLDFAST_STATE__ADDRESS", "127.0.0.1:0")]).await;
    fails(&output, USAGE, &["mesh.credential", "not-there.key"]);
    let config = "[mesh]\ncredential = \"env:HOLDFAST_NOT_THERE\"\n";
    let (output, _) = start("state", config, &[("HOLDFAST_STATE__ADDRESS", "127.0.0.1:0")]).await;
    fails(&output, USAGE, &["mesh.credential", "HOLDFAST_NOT_THERE"]);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for service in ["queue", "state", "gateway", "tool-proxy", "llm-proxy", "agent", "simulator"] {
        let section = service.replace('-', "_").to_uppercase();
        let (output, directory) = start(service, "", &[(&format!("HOLDFAST_{section}__ADDRESS"), &address)]).await;
        fails(&output, REFUSED, &[&address]);
        assert!(!directory.path().join("holdfast-data/queue.db").exists(), "sockets come before files");
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_is_named() {
    for service in ["queue", "state"] {
        let section = service.to_uppercase();
        let address = (format!("HOLDFAST_{section}__ADDRESS"), "127.0.0.1:0".to_owned());
        // A file where a directory should be stops even root.
        let env = [(&*address.0, &*address.1), ("HOLDFAST_DATA__DIR", "holdfast.toml/data")];
        let (output, _) = start(service, "", &env).await;
        fails(&output, REFUSED, &["holdfast.toml/data"]);
    }
}
