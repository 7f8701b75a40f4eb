//! Two tool-proxies that share a Redis, each over a link of its own that can be broken, and a state service.

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::{Common, Data, Document, Mesh};
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{
    CallToolResponse, Circuit, CircuitMode, CircuitState, SetCircuitRequest, WatchCircuitsRequest,
    WatchCircuitsResponse,
};
use holdfast_rpc::{Channel, service::Settings as _};
use holdfast_testkit::{FaultProxy, Redis};
use holdfast_tool_proxy::Config;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::Streaming;

use crate::harness::{Process, connect, launch, request};
use crate::tool_server::ToolServer;

/// A change is heard of among the next so many.
const EVENTS_MAX: usize = 12;
/// Nothing that these tests wait for takes so long.
const STUCK: Duration = Duration::from_secs(20);

pub(crate) struct Twins {
    pub(crate) server: ToolServer,
    pub(crate) redis: Redis,
    /// Between each of them and Redis.
    pub(crate) links: [FaultProxy; 2],
    pub(crate) tools: [ToolServiceClient<Channel>; 2],
    config: Config,
    commons: [Common; 2],
    processes: [Option<Process>; 2],
    _state: Process,
    _dir: TempDir,
}

impl Twins {
    /// Redis is waited for longer than any machine takes, so that nobody goes on alone for being slow.
    pub(crate) async fn start(config: impl FnOnce(&ToolServer) -> String) -> Self {
        Self::patient(Duration::from_secs(10), config).await
    }

    /// With so much patience with Redis.
    pub(crate) async fn patient(patience: Duration, config: impl FnOnce(&ToolServer) -> String) -> Self {
        let (server, redis) = (ToolServer::start().await, Redis::start().await);
        let document = Document::parse("the test", &config(&server), []).expect("it is TOML");
        let config = Config::from_document(&document).expect("it holds");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let common = Common { data: Data { dir: dir.path().into() }, ..Common::default() };
        let state = Process::start("state", common.clone(), |common, host| {
            holdfast_state::serve(common, holdfast_state::Config::default(), host)
        })
        .await;
        let mesh = Mesh { state: format!("http://{}", state.address).into(), ..Mesh::default() };
        let links = [FaultProxy::to(redis.address()).await, FaultProxy::to(redis.address()).await];
        let commons = links.each_ref().map(|link| {
            let text = format!(
                "[redis]\nurl = \"redis://{}\"\ntimeout = \"{}ms\"\ngone_after = \"60s\"\n",
                link.address(),
                patience.as_millis()
            );
            let shared = Common::from_document(&Document::parse("the test", &text, []).expect("it is TOML"));
            Common { mesh: mesh.clone(), redis: shared.expect("it holds").redis, ..common.clone() }
        });
        let first = launch(&commons[0], &config, None).await;
        let second = launch(&commons[1], &config, None).await;
        let tools = [connect(&first), connect(&second)];
        let processes = [Some(first), Some(second)];
        Self { server, redis, links, tools, config, commons, processes, _state: state, _dir: dir }
    }

    /// Kills one in the middle of everything.
    pub(crate) fn kill(&mut self, twin: usize) {
        drop(self.processes[twin].take());
    }

    /// Starts one again.
    pub(crate) async fn restart(&mut self, twin: usize) {
        self.kill(twin);
        let process = launch(&self.commons[twin], &self.config, None).await;
        self.tools[twin] = connect(&process);
        self.processes[twin] = Some(process);
    }

    pub(crate) async fn call(&self, twin: usize, tool: &str) -> CallToolResponse {
        let call = self.tools[twin].clone().call_tool(request(tool, &json!({}))).await;
        call.expect("every call is answered").into_inner()
    }

    pub(crate) async fn calls(&self, twin: usize, tool: &str, count: usize) -> Vec<CallToolResponse> {
        join_all((0..count).map(|_| self.call(twin, tool))).await
    }

    pub(crate) async fn set(&self, twin: usize, name: &str, mode: CircuitMode, reason: &str) -> Circuit {
        let request = SetCircuitRequest { name: name.into(), mode: mode.into(), reason: reason.into() };
        let answer = self.tools[twin].clone().set_circuit(request).await.expect("it is set");
        answer.into_inner().circuit.expect("the circuit after it")
    }

    pub(crate) async fn watch(&self, twin: usize, name: &str) -> News {
        let stream = self.tools[twin].clone().watch_circuits(WatchCircuitsRequest {}).await.expect("it answers");
        News { stream: stream.into_inner(), name: name.into() }
    }

    /// Waits until both share their circuits: what one is told, the other hears of.
    pub(crate) async fn joined(&self, name: &str) {
        let mut news = [self.watch(0, name).await, self.watch(1, name).await];
        for (twin, mode) in [(0, CircuitMode::Closed), (1, CircuitMode::Auto)] {
            self.set(twin, name, mode, "are you there?").await;
            for news in &mut news {
                news.until(|circuit| circuit.mode() == mode).await;
            }
        }
    }
}

/// What is told of one circuit.
pub(crate) struct News {
    stream: Streaming<WatchCircuitsResponse>,
    name: String,
}

impl News {
    pub(crate) async fn next(&mut self) -> Circuit {
        loop {
            let news = timeout(STUCK, self.stream.message()).await.expect("something is told in time");
            let circuit = news.expect("no error").and_then(|news| news.circuit).expect("the stream goes on");
            if circuit.name == self.name {
                return circuit;
            }
        }
    }

    /// The first that is so, among a bounded number.
    pub(crate) async fn until(&mut self, so: impl Fn(&Circuit) -> bool) -> Circuit {
        let mut told = Vec::new();
        for _ in 0..EVENTS_MAX {
            let circuit = self.next().await;
            if so(&circuit) {
                return circuit;
            }
            told.push((circuit.state(), circuit.reason));
        }
        panic!("not among {told:?}");
    }

    pub(crate) async fn comes_to(&mut self, state: CircuitState) -> Circuit {
        self.until(|circuit| circuit.state() == state).await
    }
}
