//! The only place where things are wired: the whole service on one screen.

use std::sync::Arc;

use holdfast_config::{Common, Peer};
use holdfast_proto::tool::v1::tool_service_server::ToolServiceServer;
use holdfast_rpc::Channel;
use holdfast_rpc::service::{Host, Routes, ServeError, Serving};
use reqwest::dns::Resolve;

use crate::calls::{Calls, Limits};
use crate::catalog::Catalog;
use crate::circuits::{Circuits, Keeper, Sharing};
use crate::config::Config;
use crate::discovery::Discovery;
use crate::egress::Egress;
use crate::grpc::Tools;
use crate::journal::Journal;
use crate::mcp_server;
use crate::metrics;

/// What a request has besides its arguments.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;

/// Serves until the host is told to stop, then waits for the calls whose results must be recorded.
///
/// # Errors
/// The configuration cannot be carried out, or the listener broke.
pub fn serve(common: Common, config: Config, host: Host) -> Serving {
    Box::pin(run(common, config, host, None))
}

/// The same, with a resolver of the caller's own for the names of tools. What it answers is guarded all the same.
///
/// # Errors
/// As [`serve`].
pub fn serve_with_names(common: Common, config: Config, host: Host, names: Arc<dyn Resolve>) -> Serving {
    Box::pin(run(common, config, host, Some(names)))
}

async fn run(common: Common, config: Config, host: Host, names: Option<Arc<dyn Resolve>>) -> Result<(), ServeError> {
    metrics::describe();
    let settings = &config.tool_proxy;
    let egress = Egress::new(&settings.egress).map_err(ServeError::other)?;
    let egress = match names {
        Some(names) => egress.with_names(names),
        None => egress,
    };
    let keeper = Keeper::new(Channel::to(&common, Peer::State)?, *settings.state_timeout);
    let circuits = Circuits::new(settings.host_breaker.settings(), keeper, Sharing::new(&common.redis));
    let circuits = Arc::new(circuits);
    let catalog = Arc::new(Catalog::new(&config, &common, &egress, &circuits).map_err(ServeError::other)?);
    let journal = Journal::new(Channel::to(&common, Peer::State)?, *settings.state_timeout, *settings.records_kept);
    let limits = Limits { intend_for: *settings.state_timeout, record_for: *settings.record_for };
    let calls = Arc::new(Calls::new(Arc::clone(&catalog), journal, limits));
    let tools = Arc::new(Tools {
        calls: Arc::clone(&calls),
        circuits: Arc::clone(&circuits),
        arguments_bytes_max: settings.arguments_bytes_max.bytes(),
        stop: host.stop(),
    });
    // Before the first call: what is open stays open. The duties end with this function.
    let _duties = tools.circuits.start().await;
    let discovery = Discovery::start(&config, &egress, &circuits, &catalog).map_err(ServeError::other)?;
    let message_bytes_max = settings.arguments_bytes_max.bytes() + ENVELOPE_BYTES_MAX;
    let mcp = mcp_server::routes(&tools, &settings.mcp, host.is_loopback(), message_bytes_max);
    let host = host
        .with_web(mcp_server::PATH, mcp)
        .with_keys(config.callers.as_ref().map(|callers| callers.keys(mcp_server::PATH)));
    let service = ToolServiceServer::from_arc(tools).max_decoding_message_size(message_bytes_max);
    host.serve(Routes::new(service)).await?;
    calls.drain().await;
    discovery.end().await;
    circuits.end().await;
    Ok(())
}
