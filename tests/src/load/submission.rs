use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::SubmitInvocationRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::{InvocationSpec, Payload};
use holdfast_rpc::status::retry_after;
use holdfast_testkit::{Mesh, MeshBuilder, Postgres};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// The agent type of all work here.
pub const AGENT: &str = "work";

const CONNECTIONS: usize = 4;

/// A tenant's key at the gateway.
#[derive(Debug, Clone)]
pub struct Key {
    /// The tenant.
    pub tenant: String,
    secret: MetadataValue<Ascii>,
}

impl Key {
    /// Makes one up.
    ///
    /// # Panics
    /// Never.
    pub fn of(tenant: &str) -> Self {
        let secret = format!("Bearer {}", secret(tenant));
        Self { tenant: tenant.to_owned(), secret: secret.parse().expect("letters and digits") }
    }
}

fn secret(tenant: &str) -> String {
    format!("the-key-of-{tenant}-in-this-proof")
}

/// Queue processes on one PostgreSQL.
const QUEUES: u16 = 2;

/// A mesh without the services that no submission needs, with a key for each tenant and these settings besides. On a
/// server there are several queue processes.
pub fn configured(keys: &[Key], settings: &str, server: Option<&Postgres>) -> MeshBuilder {
    let mut config = format!("[gateway]\nextra_agents = [{AGENT:?}]\n");
    let mut builder = Mesh::builder().only(&[Peer::State, Peer::Queue, Peer::Gateway]);
    for Key { tenant, .. } in keys {
        let variable = format!("PROOF_KEY_OF_{}", tenant.to_uppercase());
        writeln!(
            config,
            "[[gateway.keys]]\nname = {tenant:?}\nkey = \"env:{variable}\"\ntenant = {tenant:?}\nrole = \"caller\""
        )
        .expect("a text can be written");
        builder = builder.env(&variable, secret(tenant));
    }
    if let Some(server) = server {
        builder = builder.queues(QUEUES).env("HOLDFAST_DATABASE__URL", server.url());
    }
    builder.config(config + settings).env("HOLDFAST_TELEMETRY__LOG", "warn")
}

/// Several connections to one address, made when they are first used: one alone would bound what can be offered.
///
/// # Panics
/// Where the address is none.
pub(super) fn connections(url: &str) -> Vec<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL of our own");
    (0..CONNECTIONS).map(|_| endpoint.connect_lazy()).collect()
}

/// What became of one submission.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its number, which is its payload.
    pub number: u64,
    /// When it was sent.
    pub sent: Instant,
    /// When it was answered.
    pub answered: Instant,
    /// What it was.
    pub outcome: Outcome,
}

/// What a submission was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Accepted,
    /// There is no room for it; come back then, where that was said.
    Full(Option<Duration>),
    /// Something else went wrong.
    Failed(String),
}

impl Outcome {
    fn of<T>(answer: Result<T, Status>) -> Self {
        match answer {
            Ok(_) => Self::Accepted,
            Err(status) if status.code() == Code::ResourceExhausted => Self::Full(retry_after(&status)),
            Err(status) => Self::Failed(status.to_string()),
        }
    }
}

impl Answer {
    /// How long the answer took.
    pub fn took(&self) -> Duration {
        self.answered - self.sent
    }
}

/// Submits for one tenant, over several connections.
#[derive(Debug, Clone)]
pub struct Caller {
    channels: Arc<[Channel]>,
    key: Key,
    numbers: Arc<AtomicU64>,
}

impl Caller {
    /// Callers of one mesh, one for each key: no two use a number twice.
    pub fn each(mesh: &Mesh, keys: &[Key]) -> Vec<Self> {
        let channels: Arc<[Channel]> = connections(&mesh.url(Peer::Gateway)).into();
        let numbers = Arc::new(AtomicU64::new(0));
        let caller =
            |key: &Key| Self { channels: Arc::clone(&channels), key: key.clone(), numbers: Arc::clone(&numbers) };
        keys.iter().map(caller).collect()
    }

    /// One submission, sent when this is awaited.
    pub fn submit(&self) -> impl Future<Output = Answer> + Send + use<> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let channel = self.channels[number as usize % self.channels.len()].clone();
        let payload = Payload { data: number.to_string().into(), content_type: String::new() };
        let spec = InvocationSpec { agent: AGENT.into(), payload: Some(payload), ..Default::default() };
        let mut request = Request::new(SubmitInvocationRequest { spec: Some(spec) });
        request.metadata_mut().insert("authorization", self.key.secret.clone());
        async move {
            let sent = Instant::now();
            let answer = InvocationServiceClient::new(channel).submit_invocation(request).await;
            Answer { number, sent, answered: Instant::now(), outcome: Outcome::of(answer) }
        }
    }

    /// One submission, again and again at the pace that refusals name, until it is accepted; with the number of refusals.
    ///
    /// # Panics
    /// Where it is refused for another reason than want of room.
    pub async fn insist(&self) -> (Answer, u32) {
        let mut refusals = 0;
        loop {
            let answer = self.submit().await;
            let again = match &answer.outcome {
                Outcome::Accepted => return (answer, refusals),
                Outcome::Full(retry_after) => retry_after.unwrap_or(Duration::from_millis(100)),
                Outcome::Failed(why) => panic!("a submission fails: {why}"),
            };
            refusals += 1;
            tokio::time::sleep(again).await;
        }
    }
}

/// A line of progress, now.
pub fn telling(what: impl AsRef<str>) {
    println!("· {}", what.as_ref());
}
