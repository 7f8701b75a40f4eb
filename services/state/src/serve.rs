//! Where the state service is put together.

use std::sync::Arc;

use holdfast_config::Common;
use holdfast_proto::state::v1::state_service_server::StateServiceServer;
use holdfast_rpc::{
    service::{Host, ServeError, Stop},
    time::now_micros,
};
use tonic::service::Routes;

use crate::{
    config::Config,
    embedded::{Embedded, upkeep},
    grpc::Api,
    state::State,
    store::sqlite,
};

/// Runs the service until its host is told to stop; then everything acknowledged is stored.
///
/// # Errors
/// The data directory cannot be used, or the listener broke.
pub async fn serve(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
    let opened = sqlite::open(&common.data.dir, now_micros()).map_err(ServeError::other)?;
    let embedded = Embedded::start(opened, &config)?;
    // The duties end with the drain's end, not with its beginning: calls under way may need the flusher.
    let drained = Stop::new();
    let duties = tokio::spawn(upkeep::run(embedded.clone(), config.clone(), drained.clone()));

    let state = State::over(Arc::new(embedded));
    let api = StateServiceServer::new(Api::new(state.clone(), config.clone(), host.stop()))
        .max_decoding_message_size(config.message_max.bytes())
        .max_encoding_message_size(usize::MAX);
    let served = tokio::select! {
        served = host.serve(Routes::new(api)) => served,
        () = state.decider().ended() => Err(ServeError::other("the thread that stores writes has ended; see the log for why")),
    };

    drained.cancel();
    // A duty that panicked was reported when it did.
    let _ = duties.await;
    state.decider().close().await;
    served
}
