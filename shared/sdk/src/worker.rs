//! Workers: they lease invocations, run a handler for each, and report what it came to.

mod attempt;
mod desk;
mod handler;
mod report;
mod shutdown;
mod stream;

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use holdfast_rpc::id;
use serde_json::Value as Json;

use crate::{Context, Endpoints, Error, Failure, Output, worker::handler::Handler};

/// Invocations that a worker runs at once, unless it says otherwise.
pub const CONCURRENCY_DEFAULT: u32 = 16;

/// How long running handlers may go on after a shutdown was asked for, unless the worker says otherwise.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

/// How long a tool-proxy that is away is waited for before the agent is told, unless the worker says otherwise.
pub const TOOL_PATIENCE_DEFAULT: Duration = Duration::from_secs(15);

/// A worker: agent types with a handler for each.
///
/// It keeps one stream to the queue, renews what it holds, and delivers each result until the queue has it. A handler is
/// dropped at its next `.await` once its lease is lost, cancelled, or past its deadline.
pub struct Worker {
    endpoints: Endpoints,
    handlers: HashMap<String, Arc<dyn Handler>>,
    settings: Settings,
}

/// What a worker may be told about itself.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) concurrency: u32,
    pub(crate) drain: Duration,
    pub(crate) tool_patience: Duration,
}

impl Worker {
    /// A worker of the mesh behind these endpoints: a gateway's URL, or [`Endpoints`] of any kind.
    pub fn new(endpoints: impl Into<Endpoints>) -> Self {
        let settings = Settings {
            name: format!("worker-{}", id::new()),
            concurrency: CONCURRENCY_DEFAULT,
            drain: DRAIN_DEFAULT,
            tool_patience: TOOL_PATIENCE_DEFAULT,
        };
        Self { endpoints: endpoints.into(), handlers: HashMap::new(), settings }
    }

    /// Shows a key to the gateway; its role must be worker.
    #[must_use]
    pub fn api_key(self, key: impl AsRef<str>) -> Self {
        Self { endpoints: self.endpoints.api_key(key.as_ref()), ..self }
    }

    /// Names this worker in records and logs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Runs at most so many invocations at once.
    #[must_use]
    pub fn concurrency(mut self, invocations: u32) -> Self {
        self.settings.concurrency = invocations.max(1);
        self
    }

    /// Lets running handlers go on for so long after a shutdown was asked for; what is left then is handed back.
    #[must_use]
    pub fn drain(mut self, period: Duration) -> Self {
        self.settings.drain = period;
        self
    }

    /// Waits so long for a tool-proxy that is away before the agent is told that the tool is unavailable.
    #[must_use]
    pub fn tool_patience(mut self, period: Duration) -> Self {
        self.settings.tool_patience = period;
        self
    }

    /// Runs an agent type by a handler: a closure from context and input to an output, or a failure.
    #[must_use]
    pub fn agent<F, Fut, O>(mut self, name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Context, Json) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Failure>> + Send + 'static,
        O: Into<Output> + 'static,
    {
        self.handlers.insert(name.into(), handler::of(handler));
        self
    }

    /// Works until `shutdown` completes, then drains: no new work, a period for what runs, the rest handed back.
    ///
    /// A queue that is away is waited for; so only what will not pass by itself is an error.
    ///
    /// # Errors
    /// [`Error::Denied`] and [`Error::Invalid`] where the queue will not have this worker.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        stream::Stream::new(self.endpoints, self.handlers, self.settings)?.run(shutdown).await
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let agents: Vec<_> = self.handlers.keys().collect();
        f.debug_struct("Worker").field("agents", &agents).field("settings", &self.settings).finish()
    }
}
