//! Circuits of several tool-proxies on one Redis, as real processes: what one finds out spares the others, and outlives all
//! of them.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{
    CallToolRequest, CallToolResponse, CircuitMode, CircuitState, SetCircuitRequest, WatchCircuitsRequest,
};
use holdfast_testkit::{Mesh, Postgres, Redis};
use holdfast_tests::simulated::counts;
use tokio::time::timeout;
use tonic::transport::Channel;

const CONFIG: &str = r#"
[tools.ill]
url = "simulator:/tools/ill"
effect = "read_only"
attempts = 1
breaker = { consecutive_failures = 3, open = "1h", open_max = "1h" }
fallback = [{ kind = "fixed", answer = { stand = "in" } }]

[simulator.tools.ill]
faults = { error_rate = 1.0 }
"#;

/// Two tool-proxies, and what they share.
struct Pair {
    mesh: Mesh,
    _servers: (Postgres, Redis),
}

impl Pair {
    async fn start() -> Self {
        let (postgres, redis) = (Postgres::start().await, Redis::start().await);
        let mesh =
            Mesh::builder().only(&[Peer::State, Peer::ToolProxy, Peer::Simulator]).config(CONFIG).tool_proxies(2);
        let mesh = mesh.env("HOLDFAST_DATABASE__URL", postgres.url()).env("HOLDFAST_REDIS__URL", redis.url());
        Self { mesh: mesh.start().await, _servers: (postgres, redis) }
    }

    async fn tools(&self, proxy: usize) -> ToolServiceClient<Channel> {
        ToolServiceClient::connect(self.mesh.urls(Peer::ToolProxy).remove(proxy)).await.expect("it listens")
    }

    async fn call(&self, proxy: usize) -> CallToolResponse {
        let request = CallToolRequest { tool: "ill".into(), arguments: b"{}".to_vec().into(), ..Default::default() };
        self.tools(proxy).await.call_tool(request).await.expect("a call is always answered").into_inner()
    }

    /// Waits until a process knows that the tool's circuit stands so.
    async fn knows(&self, proxy: usize, state: CircuitState) {
        let watched = self.tools(proxy).await.watch_circuits(WatchCircuitsRequest {}).await;
        let mut changes = watched.expect("it can be watched").into_inner();
        loop {
            let change = timeout(Duration::from_secs(20), changes.message()).await;
            let change = change.unwrap_or_else(|_| panic!("{proxy} never hears of {state:?}"));
            let circuit = change.expect("the stream goes on").and_then(|change| change.circuit).unwrap_or_default();
            if circuit.name == "ill" && circuit.state() == state {
                return;
            }
        }
    }

    /// Neither asks the tool.
    async fn both_leave_it_alone(&self, calls: u64) {
        for proxy in [0, 1] {
            self.knows(proxy, CircuitState::Open).await;
            assert_eq!(self.call(proxy).await.degraded_reason, "CIRCUIT_OPEN", "proxy {proxy}");
        }
        assert_eq!(counts(&self.mesh, "ill").await.calls, calls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_one_proxy_opened_is_open_at_all_and_after_all_were_killed() {
    let mut pair = Pair::start().await;
    for _ in 0..3 {
        assert_eq!(pair.call(0).await.degraded_reason, "HTTP_500");
    }
    pair.both_leave_it_alone(3).await;

    for proxy in [0, 1] {
        pair.mesh.process_of(Peer::ToolProxy, proxy).kill().await;
    }
    for proxy in [0, 1] {
        pair.mesh.restart_of(Peer::ToolProxy, proxy).await;
    }
    pair.both_leave_it_alone(3).await;

    // An operator's word at one of them counts at both.
    let close = SetCircuitRequest {
        name: "ill".into(),
        mode: CircuitMode::Closed.into(),
        reason: "it is said to be well".into(),
    };
    pair.tools(1).await.set_circuit(close).await.expect("it is taken");
    pair.knows(0, CircuitState::Closed).await;
    assert_eq!(pair.call(0).await.degraded_reason, "HTTP_500", "it is asked again");
    assert_eq!(counts(&pair.mesh, "ill").await.calls, 4);
}
