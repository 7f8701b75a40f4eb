mod database;
mod redis;
mod tenants;
mod urls;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use database::Database;
pub use redis::{Redis, RedisKind, RedisNode, RedisUrl};
pub use tenants::{Tenant, Tenants};
pub use urls::Urls;

use crate::{ConfigError, Document, Invalid, Secret, Span};

/// The sections that every service reads.
#[derive(Debug, Clone, Default)]
pub struct Common {
    /// `[data]`
    pub data: Data,
    /// `[database]`
    pub database: Database,
    /// `[redis]`
    pub redis: Redis,
    /// `[tenants.NAME]`
    pub tenants: Tenants,
    /// `[mesh]`
    pub mesh: Mesh,
    /// `[tls]`, absent without that section.
    pub tls: Option<Tls>,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

impl Common {
    /// Takes the common sections out of a document.
    ///
    /// # Errors
    /// The first key that does not hold.
    pub fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let data: Data = document.section("data")?;
        if data.dir.as_os_str().is_empty() {
            return Err(document.locate(Invalid::new("data.dir", "must name a directory, such as \"holdfast-data\"")));
        }
        let tenants: Tenants = document.section("tenants")?;
        tenants.validate().map_err(|invalid| document.locate(invalid))?;
        let redis: Redis = document.section("redis")?;
        redis.validate().map_err(|invalid| document.locate(invalid))?;
        let mesh: Mesh = document.section("mesh")?;
        mesh.validate().map_err(|invalid| document.locate(invalid))?;
        let telemetry: Telemetry = document.section("telemetry")?;
        telemetry.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(Self {
            data,
            database: document.section("database")?,
            redis,
            tenants,
            mesh,
            tls: document.has_section("tls").then(|| document.section("tls")).transpose()?,
            telemetry,
        })
    }
}

/// Where the embedded stores keep their files.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The directory; made when it is missing.
    pub dir: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: "holdfast-data".into() }
    }
}

/// One of the processes that a service may speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The door for callers.
    Gateway,
    /// Invocations and leases.
    Queue,
    /// Records and fences.
    State,
    /// Tools.
    ToolProxy,
    /// Models.
    LlmProxy,
    /// The agent pool.
    Agent,
    /// Simulated provider and tools.
    Simulator,
}

impl Peer {
    /// All of them, in the order in which `holdfast up` starts them.
    pub const ALL: [Self; 7] =
        [Self::Simulator, Self::State, Self::Queue, Self::ToolProxy, Self::LlmProxy, Self::Gateway, Self::Agent];

    /// The name in commands, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Queue => "queue",
            Self::State => "state",
            Self::ToolProxy => "tool-proxy",
            Self::LlmProxy => "llm-proxy",
            Self::Agent => "agent",
            Self::Simulator => "simulator",
        }
    }

    /// The name of its section in the configuration.
    pub const fn section(self) -> &'static str {
        match self {
            Self::ToolProxy => "tool_proxy",
            Self::LlmProxy => "llm_proxy",
            other => other.name(),
        }
    }

    /// The port, counted from the base (7070 by default).
    pub const fn port_offset(self) -> u16 {
        match self {
            Self::Gateway => 0,
            Self::Queue => 1,
            Self::State => 2,
            Self::ToolProxy => 3,
            Self::LlmProxy => 4,
            Self::Agent => 5,
            Self::Simulator => 6,
        }
    }
}

/// How the services find and trust each other.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mesh {
    /// Base URL of the gateway.
    pub gateway: String,
    /// Base URL of the queue, or of each of its processes where they share a database.
    pub queue: Urls,
    /// Base URL of the state service, or of each of its processes where they share a database.
    pub state: Urls,
    /// Base URL of the tool-proxy.
    pub tool_proxy: String,
    /// Base URL of the llm-proxy.
    pub llm_proxy: String,
    /// Base URL of the agent pool.
    pub agent: String,
    /// Base URL of the simulator.
    pub simulator: String,
    /// What services show each other; required off loopback.
    pub credential: Option<Secret>,
    /// The key that signs lease tokens; without it, one is minted in the data directory. Required
    /// off loopback.
    pub lease_key: Option<Secret>,
    /// How long a service's threads look for what comes next before they sleep, at most, while one call follows closely on
    /// the other: to wake a processor takes longer than many a call. Zero: they sleep at once.
    pub busy_poll: Span,
}

/// Who looks for longer than this spends more on it than on being woken.
const BUSY_POLL_MAX: Duration = Duration::from_millis(10);

impl Mesh {
    fn validate(&self) -> Result<(), Invalid> {
        self.queue.validate("mesh.queue")?;
        self.state.validate("mesh.state")?;
        if *self.busy_poll > BUSY_POLL_MAX {
            return Err(Invalid::new("mesh.busy_poll", "must not be longer than 10ms; 0s turns it off"));
        }
        Ok(())
    }

    /// The base URLs of a peer: several for the queue and the state service only.
    pub fn urls(&self, peer: Peer) -> Vec<&str> {
        match peer {
            Peer::Queue => self.queue.all().iter().map(String::as_str).collect(),
            Peer::State => self.state.all().iter().map(String::as_str).collect(),
            other => vec![self.url(other)],
        }
    }

    /// The base URL of a peer; the first where there are several.
    pub fn url(&self, peer: Peer) -> &str {
        match peer {
            Peer::Gateway => &self.gateway,
            Peer::Queue => self.queue.first(),
            Peer::State => self.state.first(),
            Peer::ToolProxy => &self.tool_proxy,
            Peer::LlmProxy => &self.llm_proxy,
            Peer::Agent => &self.agent,
            Peer::Simulator => &self.simulator,
        }
    }

    /// Resolves a URL of the form `simulator:/path` against the mesh's simulator; others pass as they are. The flag
    /// says whether it was one.
    pub fn resolve(&self, url: &str) -> (String, bool) {
        match url.strip_prefix("simulator:") {
            Some(path) => (format!("{}/{}", self.simulator.trim_end_matches('/'), path.trim_start_matches('/')), true),
            None => (url.to_owned(), false),
        }
    }
}

impl Default for Mesh {
    fn default() -> Self {
        let url = |peer: Peer| format!("http://127.0.0.1:{}", 7070 + peer.port_offset());
        Self {
            gateway: url(Peer::Gateway),
            queue: url(Peer::Queue).into(),
            state: url(Peer::State).into(),
            tool_proxy: url(Peer::ToolProxy),
            llm_proxy: url(Peer::LlmProxy),
            agent: url(Peer::Agent),
            simulator: url(Peer::Simulator),
            credential: None,
            lease_key: None,
            busy_poll: Span(Duration::from_micros(300)),
        }
    }
}

/// TLS for every listener, and the authority by which clients know it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain (PEM).
    pub certificate: Option<Secret>,
    /// Its private key (PEM).
    pub key: Option<Secret>,
    /// The authority that clients trust (PEM); without it, the certificate itself.
    pub authority: Option<Secret>,
}

impl Tls {
    /// What clients of the mesh's own listeners trust (PEM).
    pub fn trusted(&self) -> Option<&Secret> {
        self.authority.as_ref().or(self.certificate.as_ref())
    }
}

/// Logs and traces. The exporter itself is set by the standard `OTEL_*` variables.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// What is logged, as `tracing` filters: `info`, `holdfast_queue=debug,warn`.
    pub log: String,
    /// `json` or `text`.
    pub log_format: LogFormat,
    /// The part of all traces that is recorded, from 0 to 1, of those that no caller has decided about and where
    /// `OTEL_TRACES_SAMPLER` is not set.
    pub trace_ratio: f64,
    /// Whether spans that are not exported yet are kept in the data directory too, so that a process that was killed tells
    /// them in its next life. Without, what others did below them has no parent then.
    pub keep_spans: bool,
}

impl Telemetry {
    fn validate(&self) -> Result<(), Invalid> {
        if (0.0..=1.0).contains(&self.trace_ratio) {
            return Ok(());
        }
        Err(Invalid::new("telemetry.trace_ratio", "must be from 0 (no trace) to 1 (every trace)"))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: "info".into(), log_format: LogFormat::Json, trace_ratio: 0.05, keep_spans: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy_poll(value: &str) -> Result<Duration, String> {
        let text = format!("[mesh]\nbusy_poll = {value:?}\n");
        let document = Document::parse("holdfast.toml", &text, []).map_err(|error| error.to_string())?;
        Common::from_document(&document).map(|common| *common.mesh.busy_poll).map_err(|error| error.to_string())
    }

    #[test]
    fn services_look_for_work_as_long_as_is_said_and_no_longer_than_is_sensible() {
        assert_eq!(busy_poll("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(busy_poll("0s"), Ok(Duration::ZERO));
        let refused = busy_poll("11ms").expect_err("too long");
        assert!(refused.contains("mesh.busy_poll") && refused.contains(":2"), "{refused}");
    }
}
