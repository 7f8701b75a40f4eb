//! The only place where things are wired: the whole service on one screen.

use std::sync::Arc;

use holdfast_config::{Common, Peer};
use holdfast_proto::tool::v1::tool_service_server::ToolServiceServer;
use holdfast_rpc::Channel;
use holdfast_rpc::service::{Host, ServeError};
use tonic::service::Routes;

use crate::calls::{Calls, Limits};
use crate::catalog::Catalog;
use crate::circuits::Circuits;
use crate::config::Config;
use crate::grpc::Tools;
use crate::journal::Journal;
use crate::metrics;

/// What a request has besides its arguments.
const ENVELOPE_BYTES_MAX: usize = 64 << 10;

/// Serves until the host is told to stop, then waits for the calls whose results must be recorded.
///
/// # Errors
/// The configuration cannot be carried out, or the listener broke.
pub async fn serve(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
    metrics::describe();
    let settings = &config.tool_proxy;
    let mut circuits = Circuits::new();
    let catalog = Catalog::new(&config, &common, &mut circuits).map_err(ServeError::other)?;
    let journal = Journal::new(Channel::to(&common, Peer::State)?, *settings.state_timeout);
    let limits = Limits { intend_for: *settings.state_timeout, record_for: *settings.record_for };
    let calls = Arc::new(Calls::new(catalog, journal, limits));
    let tools = Tools {
        calls: Arc::clone(&calls),
        circuits: Arc::new(circuits),
        arguments_bytes_max: settings.arguments_bytes_max.bytes(),
        stop: host.stop(),
    };
    let service = ToolServiceServer::new(tools)
        .max_decoding_message_size(settings.arguments_bytes_max.bytes() + ENVELOPE_BYTES_MAX);
    host.serve(Routes::new(service)).await?;
    calls.drain().await;
    Ok(())
}
