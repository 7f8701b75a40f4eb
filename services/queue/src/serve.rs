//! Where the queue is put together.

use holdfast_config::{Common, Peer};
use holdfast_proto::queue::v1::queue_service_server::QueueServiceServer;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_rpc::Channel;
use holdfast_rpc::service::{Host, Routes, ServeError, Serving};

use crate::config::Config;
use crate::grpc::Service;
use crate::queue::Queue;
use crate::{fences, gauges, metrics, reaper, retention};

/// What a message may have beside its payload and the calls that were collected with it.
const BESIDE_PAYLOAD_BYTES: usize = 4 << 20;

/// Runs the queue until its host is told to stop.
///
/// # Errors
/// The data directory or the database cannot be used, a peer's URL is not one, or the listener broke.
pub fn serve(common: Common, config: Config, host: Host) -> Serving {
    Box::pin(run(common, config, host))
}

async fn run(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
    metrics::describe();
    let message_bytes_max = config.payload_max.bytes().max(config.result_max.bytes()) + BESIDE_PAYLOAD_BYTES;
    let queue = match &common.database.url {
        Some(url) => Queue::join(url.reveal(), config, host.lease_key()).await.map_err(ServeError::other)?,
        None => Queue::open(&common.data.dir, config, host.lease_key())
            .await
            .map_err(|error| ServeError::Data { path: common.data.dir.clone(), why: error.to_string() })?,
    };
    let state = StateServiceClient::new(Channel::to(&common, Peer::State)?);

    let stop = host.stop();
    let mut duties = vec![
        // Deadlines pass, and leases are renewed, until the last stream has ended.
        tokio::spawn(reaper::run(queue.clone(), Default::default())),
        tokio::spawn(fences::run(queue.clone(), state, stop.clone())),
        tokio::spawn(gauges::run(queue.clone(), stop.clone())),
        tokio::spawn(retention::run(queue.clone(), stop.clone())),
    ];
    duties.extend(queue.together(&stop));
    let draining = tokio::spawn({
        let (queue, stop) = (queue.clone(), stop.clone());
        async move {
            stop.cancelled().await;
            queue.drain();
        }
    });

    let service = QueueServiceServer::new(Service::new(queue.clone(), stop))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(usize::MAX);
    let served = host.serve(Routes::new(service)).await;
    draining.abort();
    queue.settle_down().await;
    for duty in duties {
        duty.abort();
    }
    // Last, when nothing here shows any more that this process lives.
    queue.leave().await;
    served
}
