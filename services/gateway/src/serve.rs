//! Where the gateway is put together.

use std::sync::Arc;

use holdfast_config::{Common, Peer};
use holdfast_proto::gateway::v1::invocation_service_server::InvocationServiceServer;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_rpc::Channel;
use holdfast_rpc::server::Limits;
use holdfast_rpc::service::{Host, Routes, ServeError, Serving};

use crate::access::Door;
use crate::config::Config;
use crate::invocations::Invocations;
use crate::link::{Lane, Link};
use crate::passthrough::{Passthrough, Site};
use crate::{front::Front, metrics};

/// An invocation of the queue holds its payload and its result; a page of them holds neither.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Runs the gateway until its host is told to stop.
///
/// # Errors
/// The address is not loopback and there are no keys, a peer's URL is not one, or the listener broke.
pub fn serve(common: Common, config: Config, host: Host) -> Serving {
    Box::pin(run(common, config, host))
}

async fn run(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
    let keys = config.keys();
    if keys.are_open() && !host.is_loopback() {
        let address = host.address().to_string();
        return Err(ServeError::Insecure { address, missing: "callers' keys ([[gateway.keys]])" });
    }
    metrics::describe();

    let queue = QueueServiceClient::new(Channel::to(&common, Peer::Queue)?).max_decoding_message_size(ANSWER_BYTES_MAX);
    let lane = Lane::new(config.limits());
    let link = Link {
        lane: lane.clone(),
        common: common.clone(),
        connect_within: config.connect_within(),
        answer_within: config.answer_within(),
    };
    // The link outlives the drain: calls that are on their way still get their answers.
    let link = tokio::spawn(link.run());

    let payload_bytes_max = config.payload_bytes_max();
    let stop = host.stop();
    let invocations =
        Invocations { lane, queue, agents: Arc::new(config.agents()), payload_bytes_max, stop: stop.clone() };
    let invocations = InvocationServiceServer::new(invocations).max_decoding_message_size(config.request_bytes_max());
    let (admission, outflow) = (config.admission(), config.outflow());
    let front = Front::new(invocations, admission.clone(), config.reading(), outflow.clone(), payload_bytes_max);
    let behind = Arc::new(Passthrough { admission, outflow, lease_key: host.lease_key(), stop });
    let others = behind.routes(&common)?;
    let routes = Routes::new(front).route(|router| router.merge(others));

    // Whoever is let go for standing still has as long again to fetch the word that says so.
    let slow_max = 2 * config.slow_max();
    let mut host = host.with_limits(Limits { in_flight_max: config.calls_max(), slow_max, ..Limits::default() });
    for (site, hosts) in [(Site::MCP, config.mcp_hosts()), (Site::OPENAI, config.openai_hosts())] {
        let routes = behind.web(site, &common, hosts, host.is_loopback())?;
        host = host.with_web_as(site.prefix, routes, site.refusal);
    }
    let served = host.serve_as(routes, Arc::new(Door::new(keys))).await;
    link.abort();
    served
}
