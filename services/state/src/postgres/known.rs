//! What this process knows about who decides. Every transaction and every read checks it against the rows, so it is never
//! trusted, only renewed.

use std::sync::Arc;

use holdfast_rpc::time::now_micros;
use holdfast_storage::Failure;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tracing::{error, info};

use crate::{
    domain::EpochId,
    metrics::Metrics,
    store::postgres::{
        Store,
        deciding::{self, Deciding, Who},
    },
};

/// The knowledge of one process.
pub(super) struct Known {
    store: Store,
    metrics: Metrics,
    now: RwLock<Arc<Deciding>>,
    /// One renewal at a time.
    renewing: Mutex<()>,
}

impl Known {
    pub(super) async fn read(store: Store, metrics: Metrics) -> Result<Self, Failure> {
        let deciding = Arc::new(store.deciding().await?);
        Ok(Self { store, metrics, now: RwLock::new(deciding), renewing: Mutex::new(()) })
    }

    /// As it was read last.
    pub(super) fn get(&self) -> Arc<Deciding> {
        Arc::clone(&self.now.read())
    }

    /// Somebody here knows better.
    pub(super) fn learn(&self, deciding: Deciding) {
        *self.now.write() = Arc::new(deciding);
    }

    /// Reads it again, unless that has happened since it was seen. A server that took over, or was restored from a copy, may
    /// lack writes: then the epoch ends here, with loss, before anything is decided on it.
    pub(super) async fn renew(&self, seen: &Arc<Deciding>) -> Result<Arc<Deciding>, Failure> {
        let _one = self.renewing.lock().await;
        let current = self.get();
        if !Arc::ptr_eq(&current, seen) {
            return Ok(current);
        }
        let mut connection = self.store.database().duties().acquire().await?;
        let mut found = deciding::renew(&mut connection, seen).await?;
        if !found.same_server && found.who == Who::Postgres {
            let next = EpochId(rand::random());
            let ended = deciding::switch(&mut connection, found.epoch, (next, &Who::Postgres), true, now_micros());
            let switched = ended.await?;
            if let Some(lost) = &switched.lost {
                self.metrics.epoch_lost(Some(lost));
                error!(
                    epoch = %lost.ended.epoch, next = %next,
                    "another PostgreSQL answers, which may lack writes that were acknowledged: the epoch ended, with loss"
                );
            }
            found = switched.deciding;
        }
        if found.epoch != current.epoch {
            info!(epoch = %found.epoch, who = ?found.who, "another epoch counts");
        }
        self.learn(found);
        Ok(self.get())
    }
}
