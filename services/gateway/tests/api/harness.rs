//! A gateway in this process, on ports of the system's choice, before a queue of the test's own.

use holdfast_config::{Common, Document, Peer, Secret};
use holdfast_gateway::Config;
use holdfast_proto::gateway::v1 as gw;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1 as pb;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_rpc::service::{Host, ServeError, Settings as _, Stop};
use holdfast_rpc::{Channel, status};
use holdfast_testkit::FaultProxy;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::Code;

use crate::stand_in::{Mode, Queue};

/// What services of the mesh show each other in these tests.
const CREDENTIAL: &str = "the-credential-of-the-mesh";

/// The key of the operator of tenant `acme`, where the settings are [`KEYED`].
pub const KEY: &str = "operator-0123456789";
/// The key of its caller.
pub const CALLER_KEY: &str = "caller-0123456789ab";
/// The key of a worker of tenant `umbrella`.
pub const WORKER_KEY: &str = "worker-0123456789ab";

/// Settings with keys.
pub const KEYED: &str = r#"
[gateway]
agents = "any"
[[gateway.keys]]
name = "boss"
key = "file:KEYS/boss"
tenant = "acme"
role = "operator"
[[gateway.keys]]
name = "shop"
key = "file:KEYS/shop"
tenant = "acme"
role = "caller"
[[gateway.keys]]
name = "hand"
key = "file:KEYS/hand"
tenant = "umbrella"
role = "worker"
"#;

pub struct Harness {
    pub queue: Queue,
    /// Stands between the gateway and the queue.
    pub way: FaultProxy,
    pub url: String,
    pub stop: Stop,
    pub common: Common,
    behind: String,
    served: JoinHandle<Result<(), ServeError>>,
    _directory: TempDir,
}

impl Harness {
    /// A gateway without keys, its link to the queue open.
    pub async fn start(mode: Mode) -> Self {
        Self::with(mode, "").await
    }

    /// The same with settings of its own. `KEYS/name` in them is a file with a key.
    pub async fn with(mode: Mode, settings: &str) -> Self {
        let (common, directory) = Self::common();
        let queue = Queue::new(Mode::Accept);
        let address = queue.serve(&common).await.to_string();
        let harness = Self { queue, ..Self::before(&address, common, directory, settings).await };
        harness.linked().await;
        harness.queue.clear();
        harness.queue.set(mode);
        harness
    }

    /// What the services of one mesh share, and their directory, with the keys in it.
    pub fn common() -> (Common, TempDir) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, key) in [("boss", KEY), ("shop", CALLER_KEY), ("hand", WORKER_KEY)] {
            std::fs::write(directory.path().join(name), key).expect("the test's directory can be written");
        }
        let mut common = Common::default();
        common.data.dir = directory.path().to_owned();
        common.mesh.credential = Some(Secret::in_memory(CREDENTIAL));
        (common, directory)
    }

    /// A gateway before a queue that is there already.
    pub async fn before(queue: &str, mut common: Common, directory: TempDir, settings: &str) -> Self {
        let way = FaultProxy::to(queue.parse().expect("an address")).await;
        common.mesh.queue = format!("http://{}", way.address()).into();
        Self::at(queue, way, common, directory, settings).await
    }

    /// A gateway before a queue that has two processes; the harness' own way is to the first, the other is given beside.
    pub async fn before_two(mode: Mode) -> (Self, FaultProxy) {
        let (mut common, directory) = Self::common();
        let queue = Queue::new(mode);
        let address = queue.serve(&common).await;
        let first = FaultProxy::to(address).await;
        let other = FaultProxy::to(queue.serve(&common).await).await;
        common.mesh.queue = [&first, &other].map(|way| format!("http://{}", way.address())).to_vec().into();
        let harness = Self::at(&address.to_string(), first, common, directory, "").await;
        (Self { queue, ..harness }, other)
    }

    async fn at(queue: &str, way: FaultProxy, common: Common, directory: TempDir, settings: &str) -> Self {
        let settings = settings.replace("KEYS", &directory.path().display().to_string());
        let document = Document::parse("t.toml", &settings, []).expect("it is TOML");
        let config = Config::from_document(&document).expect("the settings hold");
        let host = Host::bind(Peer::Gateway.name(), "127.0.0.1:0", &common).await.expect("a free port");
        let (url, stop) = (format!("http://{}", host.address()), host.stop());
        let served = tokio::spawn(holdfast_gateway::serve(common.clone(), config, host));
        let (queue, behind) = (Queue::new(Mode::Accept), queue.to_owned());
        let harness = Self { queue, way, url, stop, common, behind, served, _directory: directory };
        harness.linked().await;
        harness
    }

    /// Where the queue behind the gateway listens.
    pub fn behind(&self) -> &str {
        &self.behind
    }

    /// Waits until the gateway's stream to the queue is open: until a submission is accepted, trying again when it says so.
    pub async fn linked(&self) {
        // An open gateway does not look at the key.
        let mut probe = self.invocations(Some(KEY));
        while let Err(refused) = probe.submit_invocation(submit(spec("probe", ""))).await {
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            let again = status::retry_after(&refused).expect("every refusal says when to come back");
            tokio::time::sleep(again).await;
        }
    }

    /// A caller with a key, or without.
    pub fn invocations(&self, key: Option<&str>) -> InvocationServiceClient<Channel> {
        InvocationServiceClient::new(self.channel(key))
    }

    /// The queue's contract through the gateway.
    pub fn queue_through(&self, key: Option<&str>) -> QueueServiceClient<Channel> {
        QueueServiceClient::new(self.channel(key))
    }

    pub fn channel(&self, key: Option<&str>) -> Channel {
        Channel::connect("gateway", &self.url, key, None).expect("our own URL")
    }

    /// Asks the gateway to drain and waits for its end.
    pub async fn drained(self) {
        self.stop.cancel();
        self.served.await.expect("no panic").expect("a clean end");
    }
}

/// A submission for an agent, with a key or without.
pub fn spec(agent: &str, idempotency_key: &str) -> pb::InvocationSpec {
    let payload = pb::Payload { data: br#"{"n":1}"#.as_slice().into(), content_type: String::new() };
    pb::InvocationSpec {
        agent: agent.into(),
        payload: Some(payload),
        idempotency_key: idempotency_key.into(),
        ..Default::default()
    }
}

pub fn submit(spec: pb::InvocationSpec) -> gw::SubmitInvocationRequest {
    gw::SubmitInvocationRequest { spec: Some(spec) }
}

pub fn run(spec: pb::InvocationSpec) -> gw::RunInvocationRequest {
    gw::RunInvocationRequest { spec: Some(spec) }
}
