//! What a hanging tool costs: its own callers a fallback, the callers of another tool nothing.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{CallToolRequest, CallToolResponse, CircuitState, Outcome, WatchCircuitsRequest};
use holdfast_testkit::{Mesh, MeshBuilder};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;

const CONFIG: &str = r#"
[tools.hangs]
url = "simulator:/tools/hangs"
effect = "read_only"
timeout = "300ms"
connect_timeout = "300ms"
attempts = 1
concurrency = 4
wait = "50ms"
breaker = { minimum_calls = 4, failure_percent = 50, open = "60s" }
fallback = [{ kind = "fixed", answer = { stand = "in" } }]

[tools.good]
url = "simulator:/tools/echo"
effect = "read_only"
concurrency = 4
waiting_max = 0
fallback = [{ kind = "unavailable", advice = "Go on without." }]

[simulator.tools.hangs]
faults = { hang_rate = 1.0 }
"#;

/// The services that a tool call needs, with one tool that hangs and one that is good.
pub fn mesh() -> MeshBuilder {
    Mesh::builder().only(&[Peer::Gateway, Peer::State, Peer::ToolProxy, Peer::Simulator]).config(CONFIG)
}

/// One call, outside of an invocation.
///
/// # Panics
/// Where it is not answered: a call always is.
pub async fn call(tools: &mut ToolServiceClient<Channel>, tool: &str) -> CallToolResponse {
    let request = CallToolRequest { tool: tool.into(), arguments: b"{}".to_vec().into(), ..Default::default() };
    tools.call_tool(request).await.expect("a call is always answered").into_inner()
}

/// Requests that a simulated tool has seen.
///
/// # Panics
/// Where the simulator does not say.
pub async fn calls_at(mesh: &Mesh, tool: &str) -> u64 {
    let counts = mesh.http(Peer::Simulator, "GET", "/admin/counts", "").await;
    let counts: Value = serde_json::from_str(&counts).expect("the simulator counts in JSON");
    counts["tools"][tool]["calls"].as_u64().expect("it knows the tool")
}

/// Waits for the breaker's own word that it is open.
///
/// # Panics
/// Where it does not open.
pub async fn opened(mesh: &Mesh) {
    let mut changes =
        mesh.tools().watch_circuits(WatchCircuitsRequest {}).await.expect("it can be watched").into_inner();
    loop {
        let change = timeout(Duration::from_secs(10), changes.message()).await.expect("the breaker opens");
        let circuit = change.expect("the stream goes on").and_then(|change| change.circuit).unwrap_or_default();
        if circuit.name == "hangs" && circuit.state() == CircuitState::Open {
            return;
        }
    }
}

/// What was counted and measured.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests that the hanging tool saw.
    pub hung: u64,
    /// Its callers that got the fallback.
    pub fallbacks: usize,
    /// Callers of the other tool that did not get its own answer: it has no line, so that who must wait is refused.
    pub degraded_others: usize,
    /// Time of a fallback while the breaker is open.
    pub fallback_p99: Duration,
    /// Time of the other tool's calls with nothing beside them.
    pub alone_p99: Duration,
    /// Time of the other tool's calls beside four callers of the hanging one.
    pub beside_p99: Duration,
}

/// Calls the good tool alone, then beside callers of the hanging one.
///
/// # Panics
/// Where a call is not answered.
pub async fn run(calls: usize) -> Report {
    let mesh = mesh().start().await;
    let mut report = Report::default();
    report.alone_p99 = good_calls(&mesh, calls, &mut report).await;
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let mut tools = mesh.tools();
        callers.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..calls / 4 + 1 {
                let begun = Instant::now();
                let answer = call(&mut tools, "hangs").await;
                assert_eq!(answer.outcome(), Outcome::Degraded);
                times.push((answer.degraded_reason == "CIRCUIT_OPEN", begun.elapsed()));
            }
            times
        });
    }
    report.beside_p99 = good_calls(&mesh, calls, &mut report).await;
    let times = callers.join_all().await.concat();
    report.fallbacks = times.len();
    report.fallback_p99 = p99(times.iter().filter(|(open, _)| *open).map(|(_, time)| *time).collect());
    report.hung = calls_at(&mesh, "hangs").await;
    report
}

async fn good_calls(mesh: &Mesh, calls: usize, report: &mut Report) -> Duration {
    let mut tools = mesh.tools();
    let mut times = Vec::new();
    for _ in 0..calls {
        let begun = Instant::now();
        let answer = call(&mut tools, "good").await;
        times.push(begun.elapsed());
        report.degraded_others += usize::from(answer.outcome() != Outcome::Real);
    }
    p99(times)
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
}
