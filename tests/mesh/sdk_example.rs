//! The worker of the SDK's example, as it is, against a real mesh.

use holdfast_config::Peer;
use holdfast_testkit::{Mesh, Process, executable};
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_worker_answers_what_it_is_asked() {
    let example = executable().with_file_name("examples").join("echo_worker");
    assert!(example.is_file(), "{} is missing: cargo build -p holdfast-sdk --examples", example.display());
    let config = "[gateway]\nextra_agents = [\"echo\"]\n";
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State]).config(config).start().await;
    let mut command = Command::new(example);
    command.env("HOLDFAST_ADDRESS", mesh.url(Peer::Gateway));
    let _worker = Process::start("echo_worker", command, mesh.directory());

    let output = mesh.command().args(["--json", "submit", "echo", "\"hello\"", "--wait"]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let invocation: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(invocation["result"], json!({"echo": "hello"}), "{invocation}");
}
