//! Where the state service is put together.

use std::{sync::Arc, time::Duration};

use holdfast_config::Common;
use holdfast_proto::state::v1::state_service_server::StateServiceServer;
use holdfast_rpc::{
    service::{Host, Routes, ServeError, Serving, Stop},
    time::now_micros,
};
use tokio::task::JoinHandle;

use crate::{
    config::Config,
    decider::Decider,
    embedded::{self, Embedded},
    expiry,
    grpc::Api,
    postgres::Postgres,
    redis::{Redis, RedisPlace},
    state::State,
    store::{HeldUp, postgres, sqlite},
    takeover::Takeover,
};

/// How long another process may go by floors that it knew, where it decides in front of the database: longer than its lease on
/// that knowledge. Here they are read with each decision.
const SETTLES: Duration = Duration::from_secs(30);

/// Runs the service until its host is told to stop; then everything acknowledged is stored.
///
/// # Errors
/// The data directory or the database cannot be used, or the listener broke.
pub fn serve(common: Common, config: Config, host: Host) -> Serving {
    Box::pin(run(common, config, host))
}

async fn run(common: Common, config: Config, host: Host) -> Result<(), ServeError> {
    // The duties end with the drain's end, not with its beginning: calls under way may need the flusher.
    let drained = Stop::new();
    let (decider, duties) = decide(&common, &config, &drained).await?;

    let state = State::with(decider, &config, host.stop());
    let expiry = tokio::spawn(expiry::run(Arc::clone(state.decider()), drained.clone()));
    let api = StateServiceServer::new(Api::new(state.clone(), config.clone(), host.stop()))
        .max_decoding_message_size(config.message_max.bytes())
        .max_encoding_message_size(usize::MAX);
    let served = tokio::select! {
        served = host.serve(Routes::new(api)) => served,
        () = state.decider().ended() => Err(ServeError::other("the thread that stores writes has ended; see the log for why")),
    };

    drained.cancel();
    // A duty that panicked was reported when it did.
    let _ = tokio::join!(duties, expiry);
    state.close().await;
    served
}

/// The place that decides, with what it does of its own accord until it is told to stop.
async fn decide(
    common: &Common,
    config: &Config,
    stop: &Stop,
) -> Result<(Arc<dyn Decider>, JoinHandle<()>), ServeError> {
    let Some(url) = &common.database.url else {
        let mut opened = sqlite::open(&common.data.dir, now_micros()).map_err(ServeError::other)?;
        opened.journal = HeldUp::by(*config.commit_delay, opened.journal);
        let place = Embedded::start(opened, config)?;
        let duties = tokio::spawn(embedded::upkeep::run(place.clone(), config.clone(), stop.clone()));
        return Ok((Arc::new(place), duties));
    };
    let place = Postgres::join(url.reveal(), config).await.map_err(ServeError::other)?;
    let duties = postgres::upkeep::run(place.store().clone(), config.keep.clone(), SETTLES, stop.clone());
    match RedisPlace::new(&common.redis) {
        None => {
            let takeover = Takeover::of(&place, *config.decider_lease, *common.redis.gone_after).run(stop.clone());
            let both = async move {
                tokio::join!(duties, takeover);
            };
            Ok((Arc::new(place), tokio::spawn(both)))
        }
        Some(redis) => {
            redis.check().await.map_err(ServeError::other)?;
            Ok((Arc::new(Redis::before(place, redis, config, &common.redis)), tokio::spawn(duties)))
        }
    }
}
