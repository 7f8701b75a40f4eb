//! Where the pool is put together.

use std::sync::Arc;

use holdfast_config::{Common, Peer};
use holdfast_rpc::{
    Channel,
    service::{Host, Routes, ServeError, Serving, Stop},
};
use holdfast_sdk::{Context, Endpoints, Json, Worker};

use crate::{agent::Runner, catalog::Catalog, config::Config, metrics, tools::builtin};

/// Runs the pool until its host is told to stop; then it drains.
///
/// # Errors
/// A peer's URL is not one, the queue will not have this worker, or the listener broke.
pub fn serve(common: Common, config: Config, host: Host) -> Serving {
    Box::pin(run(common, config, host))
}

async fn run(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
    metrics::describe();
    config.agents.keys().for_each(|agent| metrics::declare(agent));
    let stop = host.stop();
    let catalog = Arc::new(Catalog::new(Channel::to(&common, Peer::ToolProxy)?));
    let endpoints = Endpoints::mesh(&common).map_err(ServeError::other)?;
    // The pool drains on the same signal, and may take longer than the socket.
    let (served, worked) = tokio::join!(host.serve(Routes::default()), work(endpoints, config, catalog, stop));
    served.and(worked)
}

/// The worker. When it cannot go on, the service ends.
async fn work(endpoints: Endpoints, config: Config, catalog: Arc<Catalog>, stop: Stop) -> Result<(), ServeError> {
    let _ends_the_service = stop.clone().drop_guard();
    if config.agents.is_empty() {
        tracing::info!("no [agents] are declared: the pool has nothing to do");
        stop.cancelled().await;
        return Ok(());
    }
    let of_mesh: Vec<_> =
        config.agents.values().flat_map(|agent| &agent.tools).filter(|tool| !builtin::is_one(tool)).cloned().collect();
    if !of_mesh.is_empty() {
        tokio::select! {
            () = catalog.open(&of_mesh) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
    let mut worker = Worker::new(endpoints)
        .name(format!("agent-{}", holdfast_rpc::id::new()))
        .concurrency(config.agent.concurrency)
        .drain(*config.agent.drain)
        .tool_patience(*config.agent.tool_patience);
    for (name, agent) in config.agents {
        let runner = Arc::new(Runner::new(name.clone(), agent, catalog.clone()));
        worker = worker.agent(name, move |context: Context, input: Json| runner.clone().run(context, input));
    }
    worker.run(stop.cancelled()).await.map_err(ServeError::other)
}
