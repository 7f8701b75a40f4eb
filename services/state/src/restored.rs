//! What an operator says after a restore: acknowledged writes that came after the copy are gone. The epoch ends, with loss, so
//! that whoever shows a version of it is told, and no lost version passes for one that is merely old.

use std::time::Duration;

use holdfast_config::Common;
use holdfast_rpc::{service::ServeError, time::now_micros};
use holdfast_storage::Failure;
use tokio::time::sleep;

use crate::{
    config::Config,
    domain::EpochId,
    store::{
        LostEpoch,
        postgres::{
            Store,
            deciding::{self, Switched, Who},
        },
        sqlite,
    },
};

/// Ends the current epoch of the configured database, or of the data directory, with loss; `None` where there is none yet.
/// A data directory must not be in use. Beside a database with a Redis before it all state processes must be stopped.
///
/// # Errors
/// The store cannot be opened or does not answer; somebody else ended the epoch in the meantime.
pub async fn end_epoch(common: &Common, config: &Config) -> Result<Option<LostEpoch>, ServeError> {
    match &common.database.url {
        None => sqlite::end_restored(&common.data.dir, now_micros()).map_err(ServeError::other),
        Some(url) => {
            let store = Store::open(url.reveal(), now_micros()).await.map_err(ServeError::other)?;
            let switched = end_in(&store, *config.decider_lease).await.map_err(ServeError::other)?;
            if switched.ours { Ok(switched.lost) } else { Err(ServeError::other(OVERTAKEN)) }
        }
    }
}

const OVERTAKEN: &str = "a state process ended the epoch in the meantime, perhaps as one without loss: \
                         stop all state processes, restore again, and repeat this";

async fn end_in(store: &Store, lease: Duration) -> Result<Switched, Failure> {
    let mut connection = store.database().duties().acquire().await?;
    let found = deciding::read(&mut connection).await?;
    if found.who != Who::Postgres {
        // Whoever still believes in the Redis of this epoch decides nothing any more once this is over.
        deciding::begin_draining(&mut connection, found.epoch).await?;
        let lease = lease.max(found.lease);
        sleep(lease + lease / 20).await;
    }
    let next = (EpochId(rand::random()), &Who::Postgres);
    deciding::switch(&mut connection, found.epoch, next, true, now_micros()).await.map_err(Failure::from)
}
