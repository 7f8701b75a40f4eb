//! A database whose row says that a Redis decides, in a process for which none is named: it was taken out of the
//! configuration, and nobody may be left who knows it.
//!
//! The epoch is ended as with a Redis that is gone. As long as processes are there that reach it, they end it first, without
//! loss, and go on in it: to them it is left ever longer.

use std::time::Duration;

use holdfast_rpc::{service::Stop, time::now_micros};
use holdfast_storage::{Failure, Trouble};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::{
    domain::EpochId,
    metrics::Metrics,
    postgres::Postgres,
    redis::{
        Absence,
        clock::{Clock, SinceBoot},
    },
    store::postgres::{
        Store,
        deciding::{self, Deciding, Who},
    },
};

/// What takes over.
pub struct Takeover {
    store: Store,
    metrics: Metrics,
    lease: Duration,
    gone_after: Duration,
    absence: Absence,
    /// Since when an epoch is seen to drain.
    drains: Option<(EpochId, Duration)>,
    known: Option<Deciding>,
}

impl Takeover {
    /// For this place. `lease`: how long processes believe at least who decides; `gone_after`: how long a Redis may be away.
    pub fn of(place: &Postgres, lease: Duration, gone_after: Duration) -> Self {
        let (store, metrics) = (place.store().clone(), place.metrics().clone());
        Self { store, metrics, lease, gone_after, absence: Absence::default(), drains: None, known: None }
    }

    /// Looks until it is told to stop.
    pub async fn run(mut self, stop: Stop) {
        let looks = async {
            loop {
                if let Err(failure) = self.look().await {
                    debug!(error = %failure, "the database does not say who decides");
                }
                sleep(self.gone_after / 3).await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(looks).await;
    }

    async fn look(&mut self) -> Result<(), Failure> {
        let now = SinceBoot.now();
        let mut connection = self.store.database().duties().acquire().await?;
        let found = match &self.known {
            Some(known) => deciding::renew(&mut connection, known).await,
            None => deciding::read(&mut connection).await,
        };
        let found = found?;
        self.known = Some(found.clone());
        if found.who == Who::Postgres {
            self.absence.answered(now, self.gone_after);
        } else if found.draining {
            self.end(&mut connection, &found, now).await?;
        } else if self.absence.missed(found.epoch, now, self.gone_after) {
            warn!(epoch = %found.epoch, "a Redis decides, and none is named here: the database is to decide");
            deciding::begin_draining(&mut connection, found.epoch).await?;
        }
        Ok(())
    }

    /// Once nobody can believe in it any more, and nobody has come who reaches the Redis.
    async fn end(
        &mut self,
        connection: &mut sqlx::PgConnection,
        found: &Deciding,
        now: Duration,
    ) -> Result<(), Trouble> {
        let since = self.drains.filter(|(epoch, _)| *epoch == found.epoch).map_or(now, |(_, since)| since);
        self.drains = Some((found.epoch, since));
        let lease = self.lease.max(found.lease);
        if now.saturating_sub(since) < lease + lease / 20 + 2 * self.gone_after {
            return Ok(());
        }
        let next = (EpochId(rand::random()), &Who::Postgres);
        let switched = deciding::switch(connection, found.epoch, next, !found.same_server, now_micros()).await?;
        match &switched.lost {
            Some(lost) => {
                self.metrics.epoch_lost(Some(lost));
                let shards: Vec<_> = lost.shards.iter().map(|shard| shard.index()).collect();
                error!(
                    epoch = %lost.ended.epoch, ?shards, writes_max = lost.bound.writes, bytes_max = lost.bound.bytes,
                    "the Redis that decided is not named any more: the newest CACHED writes of these shards may be lost, so \
                     many at most"
                );
            }
            None => {
                info!(ended = %found.epoch, epoch = %switched.deciding.epoch, "the database decides, and nothing is lost")
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
