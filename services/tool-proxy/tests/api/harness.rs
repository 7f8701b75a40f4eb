//! A tool-proxy with a state service behind it. Each runs in a thread and runtime of its own, so that it can be killed:
//! everything that it was doing ends in the middle.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use holdfast_config::{Common, Data, Document, Mesh};
use holdfast_proto::state::v1::precondition::Precondition as Must;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{self as state, Address, GetRequest, Precondition, PutRequest, Record};
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_proto::tool::v1::{CallToolRequest, CallToolResponse, Circuit, ListCircuitsRequest};
use holdfast_rpc::lease::{LeaseKey, LeaseToken};
use holdfast_rpc::service::{Host, ServeError, Settings as _, Stop};
use holdfast_rpc::{Channel, client, time};
use holdfast_testkit::FaultProxy;
use holdfast_tool_proxy::{Config, serve};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::{Request, Status};

use crate::names::Names;
use crate::tool_server::ToolServer;

/// What a tool has in common in most tests. Append keys, then the next tool.
pub(crate) fn tool(name: &str, url: &str, more: &str) -> String {
    let fallback =
        if more.contains("fallback") { "" } else { "fallback = [{ kind = \"unavailable\", advice = \"A\" }]" };
    format!("[tools.{name}]\nurl = \"{url}\"\n{fallback}\n{more}\n")
}

/// A service in a thread of its own.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    /// Its metrics, apart from those of others.
    page: PrometheusHandle,
    stop: Stop,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    /// Runs what `serve` makes of a bound host, until it is killed.
    pub(crate) async fn start<F, R>(name: &'static str, common: Common, serve: F) -> Self
    where
        F: FnOnce(Common, Host) -> R + Send + 'static,
        R: Future<Output = Result<(), ServeError>>,
    {
        let (kill, killed) = oneshot::channel();
        let (bound, started) = oneshot::channel();
        // What the test listens to, the service says there too.
        let listening = tracing::dispatcher::get_default(Clone::clone);
        let recorder = PrometheusBuilder::new().build_recorder();
        let page = recorder.handle();
        let thread = std::thread::spawn(move || {
            let _listening = tracing::dispatcher::set_default(&listening);
            let _counting = metrics::set_default_local_recorder(&recorder);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let host = Host::bind(name, "127.0.0.1:0", &common).await.expect("a port is free");
                bound.send((host.address(), host.stop())).expect("the test waits");
                tokio::select! {
                    served = serve(common, host) => served.expect("it serves"),
                    _ = killed => {}
                }
            });
        });
        let (address, stop) = started.await.expect("it starts");
        Self { address, page, stop, kill: Some(kill), thread: Some(thread) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.kill.take());
        let thread = self.thread.take();
        assert!(thread.is_none_or(|thread| thread.join().is_ok()), "a service panicked");
    }
}

pub(crate) struct Harness {
    pub(crate) tools: ToolServiceClient<Channel>,
    pub(crate) server: ToolServer,
    /// Between the proxy and the state service.
    pub(crate) state_link: FaultProxy,
    config: Config,
    common: Common,
    /// What the tools' names lead to; without it, the system is asked.
    names: Option<Names>,
    key: LeaseKey,
    fences_from: u64,
    proxy: Option<Process>,
    state: Process,
    _dir: TempDir,
}

impl Harness {
    /// Starts everything; the text of the configuration may ask for the tool server's URLs.
    pub(crate) async fn start(config: impl FnOnce(&ToolServer) -> String) -> Self {
        Self::begin(None, config).await
    }

    /// The same, where names lead to what the test says; `simulator.example` is the mesh's simulator, at the tool server's
    /// port.
    pub(crate) async fn with_names(names: Names, config: impl FnOnce(&ToolServer) -> String) -> Self {
        Self::begin(Some(names), config).await
    }

    async fn begin(names: Option<Names>, config: impl FnOnce(&ToolServer) -> String) -> Self {
        let server = ToolServer::start().await;
        let document = Document::parse("the test", &config(&server), []).expect("it is TOML");
        let config = Config::from_document(&document).expect("it holds");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut common = Common { data: Data { dir: dir.path().into() }, ..Common::default() };
        let state = Process::start("state", common.clone(), |common, host| {
            holdfast_state::serve(common, holdfast_state::Config::default(), host)
        })
        .await;
        let state_link = FaultProxy::to(state.address).await;
        common.mesh = Mesh { state: format!("http://{}", state_link.address()).into(), ..Mesh::default() };
        if names.is_some() {
            common.mesh.simulator = format!("http://simulator.example:{}", server.port());
        }
        let key = LeaseKey::load(&common).expect("the key was minted");
        let proxy = launch(&common, &config, names.as_ref()).await;
        let tools = connect(&proxy);
        let fences_from = time::now_micros().unsigned_abs();
        Self {
            tools,
            server,
            state_link,
            config,
            common,
            names,
            key,
            fences_from,
            proxy: Some(proxy),
            state,
            _dir: dir,
        }
    }

    /// Kills the tool-proxy in the middle of everything, and starts another.
    pub(crate) async fn crash(&mut self) {
        drop(self.proxy.take());
        let proxy = launch(&self.common, &self.config, self.names.as_ref()).await;
        self.tools = connect(&proxy);
        self.proxy = Some(proxy);
    }

    /// Kills the tool-proxy, and starts one with another configuration.
    pub(crate) async fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.crash().await;
    }

    /// Asks the tool-proxy to end, as SIGTERM does, and waits for that.
    pub(crate) async fn drain(&mut self) {
        let Some(mut proxy) = self.proxy.take() else { return };
        proxy.stop.cancel();
        let thread = proxy.thread.take().expect("it runs");
        let ended = tokio::task::spawn_blocking(move || thread.join());
        assert!(ended.await.expect("no panic").is_ok(), "the tool-proxy panicked");
    }

    /// Where the tool-proxy is reached over plain HTTP.
    pub(crate) fn url(&self) -> String {
        let proxy = self.proxy.as_ref().expect("it runs");
        format!("http://{}", proxy.address)
    }

    /// A signed lease of an invocation.
    pub(crate) fn lease(&self, invocation: &str, fence: u64) -> String {
        self.lease_of("desk", invocation, fence)
    }

    /// The same of an agent of this type.
    pub(crate) fn lease_of(&self, agent: &str, invocation: &str, fence: u64) -> String {
        self.key.sign(&LeaseToken {
            agent: agent.into(),
            tenant: "acme".into(),
            session: String::new(),
            invocation_id: invocation.into(),
            attempt: 1,
            lease_id: format!("{invocation}-{fence}"),
            // As the queue does: a fence tells the token's age too.
            fence: self.fences_from + fence,
        })
    }

    /// A call of its own.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<CallToolResponse, Status> {
        self.send(Request::new(request(tool, &arguments))).await
    }

    /// A call under a lease.
    pub(crate) async fn step(
        &self,
        lease: &str,
        step: u32,
        tool: &str,
        arguments: Value,
    ) -> Result<CallToolResponse, Status> {
        let request = CallToolRequest { step, ..request(tool, &arguments) };
        self.send(client::with_lease(Request::new(request), lease)?).await
    }

    /// A call by its caller's key.
    pub(crate) async fn keyed(&self, key: &str, tool: &str, arguments: Value) -> Result<CallToolResponse, Status> {
        let request = CallToolRequest { idempotency_key: key.into(), ..request(tool, &arguments) };
        self.send(client::for_tenant(Request::new(request), "acme")?).await
    }

    /// A call of its own, for a tenant.
    pub(crate) async fn call_of(&self, tenant: &str, tool: &str) -> Result<CallToolResponse, Status> {
        self.send(client::for_tenant(Request::new(request(tool, &serde_json::json!({}))), tenant)?).await
    }

    pub(crate) async fn send(&self, request: Request<CallToolRequest>) -> Result<CallToolResponse, Status> {
        self.tools.clone().call_tool(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn circuit(&self, name: &str) -> Circuit {
        let circuits = self.tools.clone().list_circuits(ListCircuitsRequest {}).await.expect("it answers").into_inner();
        circuits.circuits.into_iter().find(|circuit| circuit.name == name).expect("every tool has one")
    }

    /// What the tool-proxy's metrics page says on the line that begins so; nothing counts as 0.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let page = self.proxy.as_ref().expect("it runs").page.render();
        let found = page.lines().find_map(|text| text.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0.0)
    }

    /// The record of a call as it stands in the state service.
    pub(crate) async fn record(&self, partition: &str, key: &str) -> Option<Value> {
        let record = self.read(partition, key).await?;
        Some(serde_json::from_slice(&record.value?.data).expect("JSON"))
    }

    /// How many seconds the record of a call is kept after its last change; none is for ever.
    pub(crate) async fn kept_for(&self, partition: &str, key: &str) -> Option<i64> {
        let record = self.read(partition, key).await.expect("there is one");
        Some(record.expire_time?.seconds - record.writer?.time?.seconds)
    }

    /// Records a call's outcome as unknown, as a proxy does that has waited for it in vain.
    pub(crate) async fn give_up(&self, partition: &str, key: &str) {
        let read = self.read(partition, key).await.expect("there is an intent");
        let mut record: Value = serde_json::from_slice(&read.value.expect("a value").data).expect("JSON");
        let content = serde_json::json!({"text": "{}"});
        record["answer"] =
            serde_json::json!({"outcome": "unknown", "content": content, "content_type": "application/json"});
        let put = PutRequest {
            address: read.address,
            value: Some(state::Value { data: record.to_string().into(), content_type: String::new() }),
            precondition: Some(Precondition { precondition: Some(Must::Version(read.version)) }),
            ..PutRequest::default()
        };
        let request = client::for_tenant(Request::new(put), "acme").expect("a plain name");
        self.state().put(request).await.expect("nobody else wrote it");
    }

    /// A record of the mesh's own, which belongs to no tenant.
    pub(crate) async fn kept(&self, namespace: &str, partition: &str, key: &str) -> Option<Value> {
        let address = Address { namespace: namespace.into(), partition: partition.into(), key: key.into() };
        let request = Request::new(GetRequest { address: Some(address), ..Default::default() });
        let request = client::for_tenant(request, ".mesh").expect("a plain name");
        let record = self.state().get(request).await.ok()?.into_inner().record?;
        Some(serde_json::from_slice(&record.value?.data).expect("JSON"))
    }

    async fn read(&self, partition: &str, key: &str) -> Option<Record> {
        let address = Address { namespace: "holdfast.calls".into(), partition: partition.into(), key: key.into() };
        let request = Request::new(GetRequest { address: Some(address), ..Default::default() });
        let request = client::for_tenant(request, "acme").expect("a plain name");
        self.state().get(request).await.ok()?.into_inner().record
    }

    /// The state service, around the link that may be broken.
    fn state(&self) -> StateServiceClient<Channel> {
        let url = format!("http://{}", self.state.address);
        StateServiceClient::new(Channel::connect("state", &url, None, None).expect("a URL"))
    }
}

pub(crate) fn request(tool: &str, arguments: &Value) -> CallToolRequest {
    CallToolRequest { tool: tool.into(), arguments: arguments.to_string().into(), ..CallToolRequest::default() }
}

/// The content of an answer.
pub(crate) fn content(answer: &CallToolResponse) -> Value {
    serde_json::from_slice(&answer.content).expect("a JSON answer")
}

pub(crate) async fn launch(common: &Common, config: &Config, names: Option<&Names>) -> Process {
    let (config, common) = (config.clone(), common.clone());
    match names.cloned() {
        Some(names) => {
            let serve = |common, host| holdfast_tool_proxy::serve_with_names(common, config, host, Arc::new(names));
            Process::start("tool-proxy", common, serve).await
        }
        None => Process::start("tool-proxy", common, |common, host| serve(common, config, host)).await,
    }
}

pub(crate) fn connect(proxy: &Process) -> ToolServiceClient<Channel> {
    let url = format!("http://{}", proxy.address);
    ToolServiceClient::new(Channel::connect("tool-proxy", &url, None, None).expect("a URL"))
}
