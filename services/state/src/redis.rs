//! The place of decision in a Redis that processes share, in front of a PostgreSQL.
//!
//! ```text
//!  write: look ─► judge ─► take, if nothing has changed ─► CACHED: answer
//!                                   │ log
//!                                   ▼
//!            lane: log ─► one transaction ─► mark: visible ─► DURABLE: answer
//!
//!  watch: identity + row ─► lease renewed ──► … another life, closed, or away
//!                                                   ▼
//!           draining ─► one lease ─► what is left of the log to the store ─► next epoch, in the place or in the store
//! ```
//!
//! Invariants:
//! - a process answers from the place only while it may believe, after the reply, that the place decides in that epoch;
//! - the store takes a log's entries only right behind what it has, while the epoch counts; then they become visible, then
//!   they are acknowledged;
//! - CACHED writes are taken only while the store says that the shard is dirty;
//! - an epoch ends only when nobody can believe in it any more, and a log that is found later is never merged.

pub mod archive;
mod change;
pub mod clock;
mod codec;
mod deciding;
mod desk;
mod engine;
mod fences;
mod fills;
mod flush;
mod judge;
mod keys;
mod lanes;
mod lease;
mod past;
pub mod place;
mod planted;
mod reads;
mod repeat;
mod scripts;
mod server;
mod settings;
#[cfg(test)]
mod simulation;
mod tally;
#[cfg(test)]
mod tests;
mod upkeep;
mod writes;

use std::sync::Arc;

use holdfast_rpc::service::Stop;
use parking_lot::Mutex;
use tokio::task::JoinSet;

pub(crate) use change::Absence;
pub use engine::Parts;
pub use place::RedisPlace;
pub use planted::{Fault, Faults};
pub use settings::Settings;

use crate::{config::Config, postgres::Postgres};
use archive::InPostgres;
use clock::SinceBoot;
use engine::Engine;

/// The decider, and what it does of its own accord.
#[derive(Debug)]
pub struct Redis {
    engine: Arc<Engine>,
    stop: Stop,
    /// Rung when a duty ends that must not.
    broken: Stop,
    duties: Mutex<JoinSet<()>>,
}

impl Redis {
    /// Starts to watch who decides, and to flush. Dropping it without closing it is a crash: what is not stored is left to
    /// other processes.
    pub fn start(parts: Parts, settings: Settings, faults: Faults) -> Self {
        let engine = Arc::new(Engine::new(parts, settings, faults));
        let (stop, broken) = (Stop::new(), Stop::new());
        let mut duties = JoinSet::new();
        let mut duty = |work: futures::future::BoxFuture<'static, ()>| {
            // A duty that panics is a fault of ours, after which nothing may go on as if it were done.
            let guard = broken.clone().drop_guard();
            duties.spawn(async move {
                work.await;
                guard.disarm();
            });
        };
        duty(Box::pin(change::run(Arc::clone(&engine), stop.clone())));
        duty(Box::pin(upkeep::run(Arc::clone(&engine), stop.clone())));
        for lane in 0..settings.lanes.max(1) {
            duty(Box::pin(flush::run(Arc::clone(&engine), lane, stop.clone())));
        }
        Self { engine, stop, broken, duties: Mutex::new(duties) }
    }

    /// In front of a PostgreSQL, which decides while the Redis is gone.
    pub fn before(store: Postgres, place: RedisPlace, config: &Config, settings: &holdfast_config::Redis) -> Self {
        let tables = store.store().clone();
        let parts = Parts {
            place: Arc::new(place),
            archive: Arc::new(InPostgres::new(tables.clone())),
            shelf: Arc::new(tables),
            store: Arc::new(store),
            clock: Arc::new(SinceBoot),
        };
        let settings = Settings::new(config, *config.decider_lease, *settings.gone_after, config.lanes);
        Self::start(parts, settings, Faults::default())
    }

    async fn end(&self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = self.broken.cancelled() => {}
        }
    }

    /// Stores what is decided, and ends the duties.
    async fn drain(&self) {
        self.engine.flush_all().await;
        self.stop.cancel();
        let mut duties = std::mem::take(&mut *self.duties.lock());
        while duties.join_next().await.is_some() {}
        self.engine.store.close().await;
    }
}
