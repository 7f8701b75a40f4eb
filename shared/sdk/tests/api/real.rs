//! The same promises against the real queue and the real state service.

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::join_all;
use holdfast_config::{Common, Document, Peer};
use holdfast_proto::queue::v1::{
    EnqueueRequest, GetInvocationRequest, Invocation, WatchInvocationRequest, queue_service_client::QueueServiceClient,
};
use holdfast_rpc::{
    Channel,
    client::for_tenant,
    service::{Host, ServeError, Settings, Stop},
};
use holdfast_sdk::{
    Client, Context, Endpoints, Json, Worker, invocation,
    state::{Address, Precondition, Value},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{sync::Semaphore, task::JoinHandle};
use tonic::Request;

use crate::worker::Running;

/// How long an invocation may take to end: well beyond a lease that is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue and a state service.
pub struct Mesh {
    pub common: Common,
    queue: Option<(JoinHandle<()>, Stop)>,
    _data: TempDir,
}

impl Mesh {
    pub async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut common = Common::default();
        common.data.dir = data.path().to_owned();
        let host = bind("state", "127.0.0.1:0", &common).await;
        common.mesh.state = format!("http://{}", host.address()).into();
        tokio::spawn(run(holdfast_state::serve, common.clone(), "", host));
        let mut mesh = Self { common, queue: None, _data: data };
        mesh.start_queue("127.0.0.1:0").await;
        mesh
    }

    async fn start_queue(&mut self, address: &str) {
        let host = bind("queue", address, &self.common).await;
        self.common.mesh.queue = format!("http://{}", host.address()).into();
        let stop = host.stop();
        let config = "[queue]\nstream_grace = \"500ms\"\npayload_max = \"8MiB\"\n";
        let task = tokio::spawn(run(holdfast_queue::serve, self.common.clone(), config, host));
        self.queue = Some((task, stop));
    }

    async fn stop_queue(&mut self) {
        let (task, stop) = self.queue.take().expect("it runs");
        stop.cancel();
        task.await.expect("it drains");
    }

    async fn restart_queue(&mut self) {
        let address = self.common.mesh.queue.first().trim_start_matches("http://").to_owned();
        self.start_queue(&address).await;
    }

    pub fn endpoints(&self) -> Endpoints {
        Endpoints::mesh(&self.common).expect("well-formed")
    }

    pub fn client(&self) -> QueueServiceClient<Channel> {
        let channel = Channel::to(&self.common, Peer::Queue).expect("well-formed");
        QueueServiceClient::new(channel).max_decoding_message_size(16 << 20)
    }

    pub async fn submit(&self, agent: &str) -> String {
        self.submit_input(agent, &json!({})).await
    }

    async fn submit_input(&self, agent: &str, input: &serde_json::Value) -> String {
        let spec = invocation(agent, input).expect("plain JSON");
        let request = EnqueueRequest { tenant: "default".into(), spec: Some(spec), traceparent: String::new() };
        self.client().enqueue(tenant(request)).await.expect("accepted").into_inner().invocation_id
    }

    pub async fn ended(&self, id: &str) -> Invocation {
        let watch = WatchInvocationRequest { invocation_id: id.into(), from_offset: 0 };
        let mut events = self.client().watch_invocation(tenant(watch)).await.expect("there").into_inner();
        let read = async { while events.message().await.expect("the queue stays").is_some() {} };
        tokio::time::timeout(PATIENCE, read).await.expect("it ends");
        let get = GetInvocationRequest { invocation_id: id.into() };
        self.client().get_invocation(tenant(get)).await.expect("there").into_inner().invocation.expect("there")
    }
}

pub fn tenant<T>(message: T) -> Request<T> {
    for_tenant(Request::new(message), "default").expect("ASCII")
}

async fn bind(name: &'static str, address: &str, common: &Common) -> Host {
    Host::bind(name, address, common).await.expect("the port is ours")
}

async fn run<C, F, R>(serve: F, common: Common, config: &'static str, host: Host)
where
    C: Settings,
    F: FnOnce(Common, C, Host) -> R,
    R: Future<Output = Result<(), ServeError>>,
{
    let document = Document::parse("test", config, []).expect("it is TOML");
    serve(common, C::from_document(&document).expect("valid"), host).await.expect("it serves");
}

/// A worker whose handler says that it has begun, and then waits for the gate.
fn gated(mesh: &Mesh, begun: &Arc<Semaphore>, gate: &Arc<Semaphore>) -> Worker {
    let (begun, gate) = (begun.clone(), gate.clone());
    Worker::new(mesh.endpoints()).agent("gated", move |ctx: Context, _: Json| {
        let (begun, gate) = (begun.clone(), gate.clone());
        async move {
            begun.add_permits(1);
            let _ = gate.acquire().await;
            ctx.step("last", || async { Ok(json!("done")) }).await
        }
    })
}

#[tokio::test]
async fn updates_by_32_at_once_are_all_counted_by_the_real_state() {
    let mesh = Mesh::start().await;
    let state = Client::over(&mesh.endpoints()).expect("well-formed").state();
    let address = Address::new("accounts", "A-1", "balance");
    let updaters = (0..32).map(|_| {
        let (state, address) = (state.clone(), address.clone());
        async move {
            for _ in 0..8 {
                let add = |current: Option<Json>| json!(current.and_then(|count| count.as_u64()).unwrap_or(0) + 1);
                state.update(&address, add).await.expect("it gets its turn");
            }
        }
    });
    join_all(updaters).await;
    let record = state.get(&address).await.expect("there").expect("written");
    assert_eq!((record.json::<u64>().expect("a number"), record.revision), (256, 256));
}

#[tokio::test]
async fn an_input_of_any_size_that_is_configured_reaches_its_worker() {
    let mesh = Mesh::start().await;
    let length = |_: Context, input: Json| async move { Ok(json!(input["text"].as_str().map(str::len))) };
    let _running = Running::start(Worker::new(mesh.endpoints()).agent("length", length));
    let id = mesh.submit_input("length", &json!({ "text": "x".repeat(6 << 20) })).await;
    assert_eq!(mesh.ended(&id).await.result.expect("a result").data, (6 << 20).to_string());
}

#[tokio::test]
async fn running_work_outlives_a_restart_of_the_real_queue() {
    let mut mesh = Mesh::start().await;
    let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let _running = Running::start(gated(&mesh, &begun, &gate));
    let id = mesh.submit("gated").await;
    begun.acquire().await.expect("open").forget();

    mesh.stop_queue().await;
    gate.add_permits(1);
    mesh.restart_queue().await;

    let ended = mesh.ended(&id).await;
    assert_eq!(ended.result.expect("a result").data, "\"done\"");
    assert_eq!((ended.attempt, ended.lost_leases, begun.available_permits()), (1, 0, 0), "it ran once");
}

#[tokio::test]
async fn a_crashed_workers_invocation_goes_to_the_next_and_its_lease_is_dead() {
    let mesh = Mesh::start().await;
    let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (leak, left) = tokio::sync::oneshot::channel();
    let leak = parking_lot::Mutex::new(Some(leak));
    let begins = begun.clone();
    let first = Worker::new(mesh.endpoints()).agent("gated", move |ctx: Context, _: Json| {
        // A task that outlives its handler, as on a worker that was only thought dead.
        leak.lock().take().expect("it runs once").send(ctx.state()).expect("the test waits");
        begins.add_permits(1);
        std::future::pending::<Result<Json, holdfast_sdk::Failure>>()
    });
    let first = Running::start(first);
    let id = mesh.submit("gated").await;
    begun.acquire().await.expect("open").forget();
    let zombie = left.await.expect("it began");
    first.crash().await;

    let _second = Running::start(gated(&mesh, &begun, &gate));
    let began = tokio::time::timeout(Duration::from_secs(15), begun.acquire()).await;
    began.expect("freed after the grace").expect("open").forget();
    let write = zombie.put(&Address::new("a", "b", "c"), Value::json(&1).expect("JSON"), Precondition::Absent).await;
    assert_eq!(write.expect_err("it is superseded").reason(), "FENCED");

    gate.add_permits(1);
    assert_eq!(mesh.ended(&id).await.lost_leases, 1);
}
