//! What a stranger types first: `holdfast up`, and the demonstration.

use std::path::Path;

use holdfast_testkit::{Process, Signal, executable, free_ports};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Duration, Instant, interval};

const DISPUTE: &str = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;

fn holdfast(directory: &Path) -> Command {
    let mut command = Command::new(executable());
    command.current_dir(directory).kill_on_drop(true);
    command
}

fn up(directory: &Path, port: u16, name: &str) -> Process {
    let mut command = holdfast(directory);
    command.args(["up", "--data", "data", "--port-base", &port.to_string()]);
    Process::start(name, command, directory)
}

async fn submit(directory: &Path, port: u16) -> Value {
    let mut command = holdfast(directory);
    command.args(["--json", "--address", &format!("http://127.0.0.1:{port}")]);
    let output = command.args(["submit", "disputes", DISPUTE, "--wait"]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("--json prints one JSON document")
}

/// Waits until a port is open, or until it is closed.
async fn port_is(open: bool, port: u16) {
    let until = Instant::now() + Duration::from_secs(60);
    let mut ticks = interval(Duration::from_millis(20));
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() != open {
        assert!(Instant::now() < until, "port {port} should be open: {open}");
        ticks.tick().await;
    }
}

/// Waits until `up` says something.
async fn says(up: &mut Process, words: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    let mut ticks = interval(Duration::from_millis(20));
    while !up.log().contains(words) {
        assert!(up.ended().is_none(), "it ended without saying {words:?}");
        assert!(Instant::now() < until, "it never says {words:?}");
        ticks.tick().await;
    }
}

#[tokio::test]
async fn the_demonstration_decides_a_dispute_and_records_it() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_ports(7);
    let mut mesh = up(directory.path(), port, "up");
    says(&mut mesh, "submit disputes").await;

    let invocation = submit(directory.path(), port).await;
    assert_eq!(invocation["state"], "succeeded", "{invocation}");

    let mut second = up(directory.path(), free_ports(7), "second");
    assert!(!second.wait().await.success(), "a second mesh on the same data is refused");
    assert!(second.log().contains("data"), "and told why: {}", second.log());

    mesh.signal(Signal::Interrupt).await;
    assert!(mesh.wait().await.success(), "Ctrl-C drains");
    let mut again = up(directory.path(), port, "again");
    says(&mut again, "submit disputes").await;
    let mut get = holdfast(directory.path());
    get.args(["--json", "--address", &format!("http://127.0.0.1:{port}"), "get", invocation["id"].as_str().unwrap()]);
    let kept: Value = serde_json::from_slice(&get.output().await.unwrap().stdout).unwrap();
    assert_eq!(kept["result"], invocation["result"], "--data keeps everything");

    again.kill().await;
    for offset in 0..7 {
        port_is(false, port + offset).await;
    }
}
