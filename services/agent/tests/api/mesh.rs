//! A mesh within the test's process: what stands around the pool, and pools that come and go.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use holdfast_config::{Common, Document, Peer};
use holdfast_proto::{
    llm::v1::llm_service_server::LlmServiceServer,
    queue::v1::{
        EnqueueRequest, GetInvocationRequest, Invocation, InvocationEvent, InvocationSpec, Payload,
        WatchInvocationRequest, invocation_event::Event, queue_service_client::QueueServiceClient,
    },
    tool::v1::tool_service_server::ToolServiceServer,
};
use holdfast_rpc::{
    Channel,
    client::for_tenant,
    service::{Host, ServeError, Settings, Stop},
};
use holdfast_sdk::{Client, Endpoints, state::State};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, transport::Server};

use crate::{models::Models, tools::Tools};

const QUICK: &str = "[queue]\nstream_grace = \"200ms\"\nlease_ttl = \"2s\"\nbackoff_initial = \"10ms\"\n";

pub struct Mesh {
    pub models: Arc<Models>,
    pub tools: Arc<Tools>,
    common: Common,
    agents: String,
    stop: Stop,
    _data: TempDir,
    submitted: AtomicU64,
}

/// A pool at work.
pub struct Pool {
    task: JoinHandle<Result<(), ServeError>>,
    stop: Stop,
}

impl Pool {
    /// Ends it as SIGKILL does.
    pub async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Ends it as SIGTERM does.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.task.await.expect("it does not panic").expect("it drains");
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Mesh {
    /// Queue, state, and a model and tools that the test scripts; no pool yet.
    pub async fn start(agents: &str) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut common = Common::default();
        common.data.dir = data.path().to_owned();
        let stop = Stop::new();
        let (models, tools) = (Arc::new(Models::default()), Arc::new(Tools::default()));

        let standins = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", standins.local_addr().expect("bound"));
        (common.mesh.tool_proxy, common.mesh.llm_proxy) = (url.clone(), url);
        let router = Server::builder()
            .add_service(LlmServiceServer::from_arc(models.clone()))
            .add_service(ToolServiceServer::from_arc(tools.clone()));
        tokio::spawn(
            router.serve_with_incoming_shutdown(TcpListenerStream::new(standins), stop.clone().cancelled_owned()),
        );

        common.mesh.state = up("state", &common, "", &stop, holdfast_state::serve).await.into();
        common.mesh.queue = up("queue", &common, QUICK, &stop, holdfast_queue::serve).await.into();
        Self { models, tools, common, agents: agents.to_owned(), stop, _data: data, submitted: AtomicU64::new(0) }
    }

    pub async fn pool(&self) -> Pool {
        let config = read::<holdfast_agent::Config>(&format!("[agent]\ndrain = \"1s\"\n{}", self.agents));
        let host = Host::bind("agent", "127.0.0.1:0", &self.common).await.expect("a free port");
        let stop = host.stop();
        Pool { task: tokio::spawn(holdfast_agent::serve(self.common.clone(), config, host)), stop }
    }

    /// The state of the tenant for whom everything here runs.
    pub fn state(&self) -> State {
        Client::over(&Endpoints::mesh(&self.common).expect("well-formed")).expect("well-formed").state()
    }

    fn queue(&self) -> QueueServiceClient<Channel> {
        QueueServiceClient::new(Channel::to(&self.common, Peer::Queue).expect("well-formed"))
    }

    pub async fn submit(&self, agent: &str, input: Json) -> String {
        let spec = InvocationSpec {
            agent: agent.into(),
            payload: Some(Payload { data: input.to_string().into(), content_type: String::new() }),
            idempotency_key: format!("k-{}", self.submitted.fetch_add(1, Ordering::SeqCst)),
            ..Default::default()
        };
        let request = EnqueueRequest { tenant: "default".into(), spec: Some(spec), traceparent: String::new() };
        let accepted = self.queue().enqueue(tenant(request)).await.expect("accepted");
        accepted.into_inner().invocation_id
    }

    /// Waits for an invocation's end; gives it with all its events.
    pub async fn ended(&self, id: &str) -> (Invocation, Vec<InvocationEvent>) {
        let watch = WatchInvocationRequest { invocation_id: id.into(), from_offset: 0 };
        let mut stream = self.queue().watch_invocation(tenant(watch)).await.expect("it is there").into_inner();
        let mut events = Vec::new();
        while let Some(message) = stream.message().await.expect("the queue stays") {
            events.extend(message.event);
        }
        let get = GetInvocationRequest { invocation_id: id.into() };
        let invocation = self.queue().get_invocation(tenant(get)).await.expect("it is there").into_inner().invocation;
        (invocation.expect("it is there"), events)
    }

    /// Submits, and waits for the end.
    pub async fn run(&self, agent: &str, input: Json) -> Invocation {
        let id = self.submit(agent, input).await;
        self.ended(&id).await.0
    }
}

/// What the chunks among these events say together.
pub fn chunks(events: &[InvocationEvent]) -> String {
    let chunk = |event: &InvocationEvent| match &event.event {
        Some(Event::Chunk(chunk)) => Some(String::from_utf8_lossy(&chunk.data).into_owned()),
        _ => None,
    };
    events.iter().filter_map(chunk).collect()
}

/// Why an invocation failed.
pub fn reason(invocation: &Invocation) -> &str {
    invocation.failure.as_ref().map_or("", |failure| &failure.reason)
}

/// What it came to.
pub fn result(invocation: &Invocation) -> (&[u8], &str) {
    let result = invocation.result.as_ref().unwrap_or_else(|| panic!("no result: {invocation:?}"));
    (&result.data, &result.content_type)
}

fn tenant<T>(message: T) -> Request<T> {
    for_tenant(Request::new(message), "default").expect("ASCII")
}

fn read<C: Settings>(text: &str) -> C {
    C::from_document(&Document::parse("test", text, []).expect("it is TOML")).expect("valid")
}

async fn up<C, F, R>(name: &'static str, common: &Common, config: &str, stop: &Stop, serve: F) -> String
where
    C: Settings,
    F: FnOnce(Common, C, Host) -> R,
    R: Future<Output = Result<(), ServeError>> + Send + 'static,
{
    let host = Host::bind(name, "127.0.0.1:0", common).await.expect("a free port");
    let (url, own) = (format!("http://{}", host.address()), host.stop());
    let stop = stop.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        own.cancel();
    });
    let served = serve(common.clone(), read(config), host);
    tokio::spawn(async move { served.await.expect("it serves") });
    url
}
