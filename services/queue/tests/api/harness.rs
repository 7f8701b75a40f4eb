//! A queue in a runtime of its own, so that it can be killed without its test: everything in it stops where it stands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use holdfast_config::{Common, Document};
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::{
    EnqueueRequest, GetInvocationRequest, Invocation, InvocationSpec, InvocationState, Lease, LeaseRequest, Payload,
};
use holdfast_queue::Config;
use holdfast_rpc::Channel;
use holdfast_rpc::client::for_tenant;
use holdfast_rpc::service::{Host, Settings, Stop};
use holdfast_testkit::Postgres;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::{Request, Status};

pub(crate) type Client = QueueServiceClient<Channel>;

/// Nothing that a test waits for takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Set, it has every test here run on a PostgreSQL of its own.
const ON_POSTGRES: &str = "HOLDFAST_TEST_QUEUE_ON_POSTGRES";

pub(crate) struct Harness {
    directory: Arc<TempDir>,
    toml: String,
    address: SocketAddr,
    process: Option<Process>,
    postgres: Option<Postgres>,
}

struct Process {
    runtime: Runtime,
    stop: Stop,
    served: JoinHandle<()>,
}

impl Harness {
    /// A queue with the defaults.
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// A queue with keys of `[queue]`, or with whole sections after it.
    pub(crate) async fn with(toml: &str) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        if std::env::var_os(ON_POSTGRES).is_none() {
            return Self::launch_in(directory, "", toml).await;
        }
        let postgres = Postgres::start().await;
        let mut queue = Self::on(&postgres.url(), &directory, toml).await;
        queue.postgres = Some(postgres);
        queue
    }

    /// A queue that shares a database, and the directory of the lease key.
    pub(crate) async fn on(database: &str, directory: &Arc<TempDir>, toml: &str) -> Self {
        Self::launch_in(Arc::clone(directory), &format!("[database]\nurl = {database:?}\n"), toml).await
    }

    async fn launch_in(directory: Arc<TempDir>, before: &str, toml: &str) -> Self {
        let toml = format!("{before}[data]\ndir = {:?}\n[queue]\n{toml}", directory.path());
        let (process, address) = launch(&toml, "127.0.0.1:0").await;
        Self { directory, toml, address, process: Some(process), postgres: None }
    }

    /// Holds everything in the process up for a while, as a paused one is.
    #[expect(clippy::disallowed_methods, reason = "it is the pause itself: the process's one thread must stand still")]
    pub(crate) fn pause(&self, span: Duration) {
        let process = self.process.as_ref().expect("it runs");
        process.runtime.spawn(async move { std::thread::sleep(span) });
    }

    /// Ends everything where it stands.
    pub(crate) async fn kill(&mut self) {
        let Process { runtime, .. } = self.process.take().expect("it runs");
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.unwrap();
    }

    /// Starts again on the same files and port.
    pub(crate) async fn start_again(&mut self) {
        let (process, _) = launch(&self.toml, &self.address.to_string()).await;
        self.process = Some(process);
    }

    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.start_again().await;
    }

    /// As SIGTERM does.
    pub(crate) fn begin_drain(&self) {
        self.process.as_ref().expect("it runs").stop.cancel();
    }

    /// Waits until the drained queue has ended.
    pub(crate) async fn drained(&mut self) {
        let served = &mut self.process.as_mut().expect("it runs").served;
        tokio::time::timeout(PATIENCE, served).await.expect("it ends").unwrap();
        self.kill().await;
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client(&self) -> Client {
        QueueServiceClient::new(Channel::connect("queue", &format!("http://{}", self.address), None, None).unwrap())
    }

    pub(crate) async fn enqueue(&self, spec: InvocationSpec) -> String {
        self.try_enqueue(spec).await.unwrap().0
    }

    /// The id, and whether it is new.
    pub(crate) async fn try_enqueue(&self, spec: InvocationSpec) -> Result<(String, bool), Status> {
        let request = EnqueueRequest { spec: Some(spec), ..Default::default() };
        let answer = self.client().enqueue(request).await?.into_inner();
        Ok((answer.invocation_id, answer.created))
    }

    pub(crate) async fn get(&self, id: &str) -> Invocation {
        self.get_as("default", id).await.unwrap()
    }

    pub(crate) async fn get_as(&self, tenant: &str, id: &str) -> Result<Invocation, Status> {
        let request = as_tenant(GetInvocationRequest { invocation_id: id.into() }, tenant);
        Ok(self.client().get_invocation(request).await?.into_inner().invocation.unwrap())
    }

    pub(crate) async fn state(&self, id: &str) -> InvocationState {
        self.get(id).await.state()
    }

    /// What is ready now.
    pub(crate) async fn lease_now(&self, max_leases: u32) -> Vec<Lease> {
        self.lease(max_leases, Duration::ZERO).await
    }

    /// The next one, waited for.
    pub(crate) async fn lease_one(&self) -> Lease {
        let mut leases = self.lease(1, PATIENCE).await;
        assert_eq!(leases.len(), 1, "one comes in time");
        leases.remove(0)
    }

    async fn lease(&self, max_leases: u32, wait: Duration) -> Vec<Lease> {
        let request = LeaseRequest {
            worker: "unary".into(),
            agents: vec!["mail".into()],
            max_leases,
            wait: Some(wait.try_into().unwrap()),
        };
        self.client().lease(request).await.unwrap().into_inner().leases
    }
}

async fn launch(toml: &str, address: &str) -> (Process, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ready, started) = oneshot::channel();
    let document = Document::parse("test", toml, std::iter::empty()).unwrap();
    let common = Common::from_document(&document).unwrap();
    let config = Config::from_document(&document).unwrap();
    let address = address.to_owned();
    let served = runtime.spawn(async move {
        let host = Host::bind("queue", &address, &common).await.unwrap();
        let _ = ready.send((host.stop(), host.address()));
        holdfast_queue::serve(common, config, host).await.unwrap();
    });
    let (stop, address) = started.await.expect("it starts");
    (Process { runtime, stop, served }, address)
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some(Process { runtime, .. }) = self.process.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn as_tenant<T>(message: T, tenant: &str) -> Request<T> {
    for_tenant(Request::new(message), tenant).unwrap()
}

pub(crate) fn spec() -> InvocationSpec {
    InvocationSpec { agent: "mail".into(), payload: Some(payload("{}")), ..Default::default() }
}

pub(crate) fn in_session(session: &str) -> InvocationSpec {
    InvocationSpec { session: session.into(), ..spec() }
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload { data: text.to_owned().into(), content_type: String::new() }
}

pub(crate) fn id_of(lease: &Lease) -> &str {
    &lease.invocation.as_ref().unwrap().id
}

/// Some time from now.
pub(crate) fn in_future(span: Duration) -> prost_types::Timestamp {
    let at = holdfast_rpc::time::now_micros() + span.as_micros() as i64;
    holdfast_rpc::time::timestamp(at)
}
