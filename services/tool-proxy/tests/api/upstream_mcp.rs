//! MCP servers as tools of the mesh: over HTTP in both eras, and started as programs.

mod discovery;
mod eras;
mod everything;
mod program;
mod programs;
pub(crate) mod server;
mod sessions;

use std::time::Duration;

use holdfast_proto::tool::v1::{ListToolsRequest, Tool};
use tokio::time::{sleep, timeout};

use crate::harness::Harness;

/// What a server has in common in most tests. Append keys, then the next section.
pub(crate) fn at(name: &str, url: &str, more: &str) -> String {
    format!("[mcp.{name}]\nurl = \"{url}\"\nfallback = [{{ kind = \"unavailable\", advice = \"A\" }}]\n{more}\n")
}

/// The tools that the proxy tells now.
async fn tools(mesh: &Harness) -> Vec<Tool> {
    mesh.tools.clone().list_tools(ListToolsRequest::default()).await.expect("it answers").into_inner().tools
}

/// Waits until the names of the tools are such.
async fn until_listed(mesh: &Harness, wanted: impl Fn(&[String]) -> bool) {
    let mut last = Vec::new();
    let waiting = async {
        loop {
            last = tools(mesh).await.into_iter().map(|tool| tool.name).collect::<Vec<_>>();
            if wanted(&last) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(Duration::from_secs(20), waiting).await.is_ok(), "the tools are still {last:?}");
}
