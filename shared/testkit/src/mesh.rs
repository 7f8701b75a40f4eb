mod several;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use tokio::process::Command;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::http::{get, send};
use crate::scratch::Scratch;
use crate::server::ready;
use crate::{Process, Signal, executable, ports};

/// How the gateway's metrics say that its stream to the queue is open.
const LINK_UP: &str = "\nholdfast_gateway_queue_link_up 1\n";

/// However slow the machine is.
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// How a [`Mesh`] shall be.
#[derive(Debug, Default)]
pub struct MeshBuilder {
    config: Option<String>,
    without: Vec<Peer>,
    env: BTreeMap<String, String>,
    secured: Option<Secured>,
    files: BTreeMap<String, String>,
    /// Processes of a service beyond the first, by its name.
    more: BTreeMap<&'static str, u16>,
}

/// A mesh that strangers could reach.
#[derive(Debug, Clone)]
struct Secured {
    host: IpAddr,
    authority: String,
}

impl MeshBuilder {
    /// The text of `holdfast.toml`: agents, tools, models and settings. Addresses and the data directory are the mesh's
    /// own. Without this there is no file, which means the built-in demonstration.
    pub fn config(mut self, toml: impl Into<String>) -> Self {
        self.config = Some(toml.into());
        self
    }

    /// Leaves a service out; [`Mesh::restart`] starts it later.
    pub fn without(mut self, peer: Peer) -> Self {
        self.without.push(peer);
        self
    }

    /// Leaves out all but these.
    pub fn only(self, peers: &[Peer]) -> Self {
        Peer::ALL.into_iter().filter(|peer| !peers.contains(peer)).fold(self, Self::without)
    }

    /// An environment variable for every service.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Listens on another address than loopback, with TLS. The certificate (`tls.pem`) and its key (`tls.key`) are put into
    /// the mesh's directory for the configuration to refer to.
    pub fn secured(mut self, host: IpAddr, certificate: &str, key: &str) -> Self {
        self.secured = Some(Secured { host, authority: certificate.to_owned() });
        self.file("tls.pem", certificate).file("tls.key", key)
    }

    /// Puts a file into the mesh's directory, where services are started.
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.insert(name.to_owned(), content.to_owned());
        self
    }

    /// Starts the services, each a process, and waits until each says that it is healthy, and the gateway has found the
    /// queue: before that it refuses submits, which a test without retries would take for an answer.
    ///
    /// # Panics
    /// Where one of them does not.
    pub async fn start(mut self) -> Mesh {
        let scratch = Scratch::new("mesh");
        let port_base = ports::free_range(Peer::ALL.len() as u16 + self.more.values().sum::<u16>());
        if let Some(config) = self.config.take() {
            self.files.insert("holdfast.toml".into(), config);
        }
        for (name, content) in &self.files {
            std::fs::write(scratch.path().join(name), content).expect("the test's directory can be written");
        }
        let (env, secured, more) = (self.env, self.secured, self.more);
        let mut mesh =
            Mesh { processes: BTreeMap::new(), further: BTreeMap::new(), more, env, secured, port_base, scratch };
        let wanted = Peer::ALL.into_iter().filter(|peer| !self.without.contains(peer));
        for peer in wanted.clone() {
            mesh.spawn(peer);
        }
        for peer in wanted {
            mesh.ready(peer).await;
        }
        mesh.start_further().await;
        let linked = [Peer::Gateway, Peer::Queue].iter().all(|peer| mesh.processes.contains_key(peer.name()));
        if linked && mesh.secured.is_none() {
            mesh.linked().await;
        }
        mesh
    }
}

/// A mesh of real processes on free ports and temporary data. Ends with this value.
#[derive(Debug)]
pub struct Mesh {
    processes: BTreeMap<&'static str, Process>,
    /// Processes beyond the first, by service and number.
    further: BTreeMap<(&'static str, u16), Process>,
    more: BTreeMap<&'static str, u16>,
    env: BTreeMap<String, String>,
    secured: Option<Secured>,
    port_base: u16,
    scratch: Scratch,
}

impl Mesh {
    /// All services, with an empty configuration unless told otherwise.
    pub fn builder() -> MeshBuilder {
        MeshBuilder::default()
    }

    /// The base URL of a service.
    pub fn url(&self, peer: Peer) -> String {
        let scheme = if self.secured.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address(peer))
    }

    /// The socket address of a service.
    pub fn address(&self, peer: Peer) -> SocketAddr {
        let host = self.secured.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |secured| secured.host);
        SocketAddr::new(host, self.port(peer))
    }

    /// The port of a service.
    pub const fn port(&self, peer: Peer) -> u16 {
        self.port_base + peer.port_offset()
    }

    /// The mesh's own directory: `holdfast.toml`, `data/` and a log for each service.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// A connection to a service, made when it is first used and made again when it breaks.
    ///
    /// # Panics
    /// Never: the URL is the mesh's own.
    pub fn channel(&self, peer: Peer) -> Channel {
        self.endpoint(peer).connect_lazy()
    }

    fn endpoint(&self, peer: Peer) -> Endpoint {
        let endpoint = Endpoint::from_shared(self.url(peer)).expect("the mesh's own URLs are well-formed");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5));
        let Some(secured) = &self.secured else { return endpoint };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&secured.authority));
        endpoint.tls_config(tls).expect("the certificate is one")
    }

    /// What callers use, through the gateway.
    pub fn invocations(&self) -> InvocationServiceClient<Channel> {
        InvocationServiceClient::new(self.channel(Peer::Gateway))
    }

    /// What workers use, through the gateway.
    pub fn queue(&self) -> QueueServiceClient<Channel> {
        QueueServiceClient::new(self.channel(Peer::Gateway))
    }

    /// Records, through the gateway.
    pub fn state(&self) -> StateServiceClient<Channel> {
        StateServiceClient::new(self.channel(Peer::Gateway))
    }

    /// Tools and circuits, through the gateway.
    pub fn tools(&self) -> ToolServiceClient<Channel> {
        ToolServiceClient::new(self.channel(Peer::Gateway))
    }

    /// A service's process.
    ///
    /// # Panics
    /// Where it was left out and not started since.
    pub fn process(&mut self, peer: Peer) -> &mut Process {
        self.processes.get_mut(peer.name()).unwrap_or_else(|| panic!("{} was not started", peer.name()))
    }

    /// Sends a service a signal.
    pub async fn signal(&mut self, peer: Peer, signal: Signal) {
        self.process(peer).signal(signal).await;
    }

    /// Kills a service with SIGKILL.
    pub async fn kill(&mut self, peer: Peer) {
        self.process(peer).kill().await;
    }

    /// Asks a service to end, and waits until it has done so in good order.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn drain(&mut self, peer: Peer) {
        self.signal(peer, Signal::Terminate).await;
        let ended = tokio::time::timeout(DRAINED_WITHIN, self.process(peer).wait()).await;
        assert!(ended.expect("it drains").success(), "{} ends well", peer.name());
    }

    /// Asks the services that run to end, those in front first, and waits until they have done so in good order. Of several
    /// processes the first is asked.
    ///
    /// # Panics
    /// Where one does not.
    pub async fn end(mut self) {
        for peer in Peer::ALL.into_iter().rev() {
            let process = self.processes.get_mut(peer.name());
            if process.is_some_and(|process| process.ended().is_none()) {
                self.drain(peer).await;
            }
        }
    }

    /// Starts a service that was killed, asked to end, or left out, and waits until it is healthy.
    pub async fn restart(&mut self, peer: Peer) {
        self.spawn(peer);
        self.ready(peer).await;
    }

    /// The `holdfast` command, speaking to this mesh's gateway.
    pub fn command(&self) -> Command {
        let mut command = Command::new(executable());
        command.arg("--address").arg(self.url(Peer::Gateway)).envs(&self.env).current_dir(self.directory());
        command
    }

    /// A service's metrics page.
    ///
    /// # Panics
    /// Where it does not answer.
    pub async fn metrics(&self, peer: Peer) -> String {
        self.http(peer, "GET", "/metrics", "").await
    }

    /// Sends an HTTP request with a JSON body to a service and gives the body of its answer: for the simulator's knobs.
    ///
    /// # Panics
    /// Where it is refused or not answered.
    pub async fn http(&self, peer: Peer, method: &str, path: &str, json: &str) -> String {
        let answer = send(self.port(peer), method, path, json).await;
        let (status, body) = answer.unwrap_or_else(|| panic!("{} does not answer {method} {path}", peer.name()));
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    }

    fn spawn(&mut self, peer: Peer) {
        let command = self.service(peer);
        self.processes.insert(peer.name(), Process::start(peer.name(), command, self.scratch.path()));
    }

    /// How a service of this mesh is started.
    fn service(&self, peer: Peer) -> Command {
        let mut command = Command::new(executable());
        // A service finds holdfast.toml in its directory, and ends with its standard input: with the test, however it ends.
        command.arg(peer.name()).current_dir(self.scratch.path()).env("HOLDFAST_PARENT_PIPE", "1");
        command.env("HOLDFAST_DATA__DIR", self.scratch.path().join("data"));
        for other in Peer::ALL {
            let section = other.section().to_uppercase();
            command.env(format!("HOLDFAST_MESH__{section}"), self.url(other));
            command.env(format!("HOLDFAST_{section}__ADDRESS"), self.address(other).to_string());
        }
        for peer in [Peer::Queue, Peer::State].into_iter().filter(|peer| self.several(*peer) > 1) {
            // Strings in quotes and brackets: as TOML writes a list, too.
            command.env(format!("HOLDFAST_MESH__{}", peer.section().to_uppercase()), format!("{:?}", self.urls(peer)));
        }
        command.envs(&self.env);
        command
    }

    async fn linked(&mut self) {
        let port = self.port(Peer::Gateway);
        let up = || async { get(port, "/metrics").await.is_some_and(|page| page.contains(LINK_UP)) };
        ready("the gateway's link to the queue", self.process(Peer::Gateway), up).await;
    }

    async fn ready(&mut self, peer: Peer) {
        let (port, endpoint, secured) = (self.port(peer), self.endpoint(peer), self.secured.is_some());
        // Behind TLS a finished handshake tells it: a service binds its socket early, but answers only when it is ready.
        let answers =
            || async { if secured { endpoint.connect().await.is_ok() } else { get(port, "/healthz").await.is_some() } };
        ready(peer.name(), self.process(peer), answers).await;
    }
}
