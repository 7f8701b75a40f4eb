//! The program of the tests, as a server that the proxy starts.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::harness::{Harness, content};

/// Its section; append keys, then the next section.
pub(super) fn section(name: &str, arguments: &[&str], more: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/upstream_mcp/program.py");
    let command: Vec<_> = ["python3", "-u", script].iter().chain(arguments).map(|part| format!("{part:?}")).collect();
    format!(
        "[mcp.{name}]\ncommand = [{}]\nconnect_timeout = \"5s\"\nfallback = [{{ kind = \"unavailable\", advice = \"A\" }}]\n{more}\n",
        command.join(", ")
    )
}

/// A number that one of its tools gives.
pub(super) async fn number(mesh: &Harness, tool: &str) -> u32 {
    let answer = mesh.call(tool, json!({})).await.expect("it answers");
    let value = content(&answer);
    u32::try_from(value["value"].as_u64().unwrap_or_else(|| panic!("{tool} gave {value}"))).expect("a process id")
}

/// Waits until a process has ended. One that nobody has fetched yet has ended too.
pub(super) async fn until_ended(pid: u32) {
    let ending = async {
        while runs(pid) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(Duration::from_secs(20), ending).await.is_ok(), "process {pid} goes on");
}

pub(super) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}
