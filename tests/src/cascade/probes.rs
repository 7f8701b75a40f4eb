//! Callers of the tools that do not hang, from outside of the pool: what they wait is what the hanging one costs others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{CallToolRequest, Outcome};
use serde_json::json;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::desk::OTHERS;
use crate::load::{Arrivals, Spread, offer};

/// Calls of each tool in a second.
const A_SECOND: f64 = 10.0;

/// What the probes saw of one tool.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Times in milliseconds of the tool's own answers.
    pub times: Spread,
    /// Calls that were answered by anything else, or not at all.
    pub not_real: usize,
}

/// Calls each of the tools at random moments, for so long.
pub(super) async fn run(channel: &Channel, length: Duration) -> BTreeMap<&'static str, Seen> {
    let mut tools = JoinSet::new();
    for tool in OTHERS {
        let channel = channel.clone();
        tools.spawn(async move {
            let calls = offer(Arrivals::new(A_SECOND, length), || call(channel.clone(), tool)).await.answers;
            let times = calls.iter().flatten().copied().collect();
            (tool, Seen { times, not_real: calls.iter().filter(|time| time.is_none()).count() })
        });
    }
    tools.join_all().await.into_iter().collect()
}

/// The time of one call that the tool itself answered.
async fn call(channel: Channel, tool: &'static str) -> Option<Duration> {
    let arguments = json!({"customer": "nobody"}).to_string().into();
    let request = CallToolRequest { tool: tool.into(), arguments, ..Default::default() };
    let begun = Instant::now();
    let answer = ToolServiceClient::new(channel).call_tool(request).await.ok()?;
    (answer.into_inner().outcome() == Outcome::Real).then(|| begun.elapsed())
}
