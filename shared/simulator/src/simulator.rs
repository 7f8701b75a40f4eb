use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use axum::Router;
use bytes::Bytes;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    admin,
    changes::Changes,
    config::{Config, Tool},
    counting::CountingListener,
    counts::Counts,
    faults::Faults,
    provider::{Provider, calls::ModelCall, limits::Limits, rules::Rule, script::Script},
    tools::{Effect, Tools},
};

/// A handle on the simulated provider and tools: serves them, turns their knobs, reads their counters.
#[derive(Debug, Clone)]
pub struct Simulator {
    provider: Arc<Provider>,
    tools: Arc<Tools>,
    connections: Arc<std::sync::atomic::AtomicU64>,
    changes: Changes,
}

/// Whose faults are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// The provider's, for every key without faults of its own.
    Provider,
    /// One API key's.
    Key(&'a str),
    /// One tool's.
    Tool(&'a str),
}

impl Simulator {
    /// Provider and tools as the configuration says.
    pub fn new(config: &Config) -> Self {
        let changes = Changes::new();
        Self {
            provider: Arc::new(Provider::new(config, changes.clone())),
            tools: Arc::new(Tools::new(config, changes.clone())),
            connections: Arc::default(),
            changes,
        }
    }

    /// All that it answers over HTTP.
    pub fn router(&self) -> Router {
        self.provider.router().merge(self.tools.router()).merge(admin::router(self.clone()))
    }

    /// Serves on a free port of the loopback, in this process: for tests.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn start(config: &Config) -> io::Result<Running> {
        let simulator = Self::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = CountingListener::new(listener, Arc::clone(&simulator.connections), simulator.changes.clone());
        let router = simulator.router();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the simulator ended");
            }
        });
        Ok(Running { simulator, address, task })
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let connections = self.connections.load(std::sync::atomic::Ordering::Relaxed);
        let mut counts = Counts { connections, ..Counts::default() };
        self.provider.count(&mut counts);
        self.tools.count(&mut counts);
        counts
    }

    /// Waits until the counts are as wanted.
    pub async fn until(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        let mut changes = self.changes.listen();
        loop {
            let counts = self.counts();
            if wanted(&counts) {
                return counts;
            }
            changes.changed().await.expect("the handle holds the sender");
        }
    }

    /// Counts from nothing again and forgets effects. Limits go on counting, faults stay.
    pub fn reset(&self) {
        self.connections.store(0, std::sync::atomic::Ordering::Relaxed);
        self.provider.reset();
        self.tools.reset();
    }

    /// Sets how something misbehaves from now on.
    ///
    /// # Panics
    /// There is no such key or tool.
    pub fn set_faults(&self, of: Of<'_>, faults: Faults) {
        let known = match of {
            Of::Provider => {
                self.provider.set_faults(faults);
                true
            }
            Of::Key(key) => self.provider.set_key_faults(key, faults),
            Of::Tool(tool) => self.tools.set_faults(tool, faults),
        };
        assert!(known, "the simulator does not know {of:?}");
    }

    /// Makes an API key known, or changes its limits.
    pub fn set_key(&self, key: &str, limits: Limits) {
        self.provider.set_key(key, limits);
    }

    /// Revokes an API key.
    pub fn revoke_key(&self, key: &str) {
        self.provider.revoke_key(key);
    }

    /// The newest calls with a key, oldest first.
    pub fn calls(&self, key: &str) -> Vec<ModelCall> {
        self.provider.calls(key).unwrap_or_default()
    }

    /// The body of the last request with a key, as it came.
    pub fn last_request(&self, key: &str) -> Bytes {
        self.provider.last_request(key).unwrap_or_default()
    }

    /// The provider's clock, in microseconds: what the times of calls go by.
    pub fn clock_us(&self) -> u64 {
        self.provider.clock_us()
    }

    /// Replaces the rules that come before the built-in ones.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        self.provider.set_rules(rules);
    }

    /// Adds scripts, by their id.
    pub fn add_scripts(&self, scripts: BTreeMap<String, Script>) {
        self.provider.add_scripts(scripts);
    }

    /// Adds a tool, or changes one.
    pub fn set_tool(&self, name: &str, tool: Tool) {
        self.tools.set(name, tool);
    }

    /// What a tool's calls did, oldest first.
    pub fn effects(&self, tool: &str) -> Vec<Effect> {
        self.tools.effects(tool).unwrap_or_default()
    }

    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.tools
    }
}

/// A simulator that serves in this process; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    simulator: Simulator,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl std::ops::Deref for Running {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
