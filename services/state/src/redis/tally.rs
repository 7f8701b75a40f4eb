//! What this decider counts, and says once.

use std::{collections::HashSet, time::Duration};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;
use tracing::{info, warn};

use super::{
    archive::{Deciding, Who},
    engine::Engine,
};
use crate::{
    domain::EpochId,
    failed::Failed,
    metrics::Metrics,
    store::LostEpoch,
    write::{Command, Durability, Refusal, Written},
};

/// Handles of it.
#[derive(Debug)]
pub struct Tally {
    pub(super) calls: Metrics,
    epochs_changed: Counter,
    in_place: Gauge,
    /// The epochs whose loss was said.
    told: Mutex<HashSet<EpochId>>,
    /// Flushes that failed.
    pub(super) flushes_failed: Counter,
}

impl Tally {
    pub(super) fn new() -> Self {
        describe_counter!(
            "holdfast_state_epochs_changed_total",
            Unit::Count,
            "Changes of who decides, or of its life."
        );
        describe_gauge!(
            "holdfast_state_redis_decides",
            Unit::Count,
            "1 while the Redis decides, 0 while PostgreSQL does."
        );
        describe_counter!("holdfast_state_flushes_failed_total", Unit::Count, "Flushes that the store did not take.");
        Self {
            calls: Metrics::new("redis"),
            epochs_changed: counter!("holdfast_state_epochs_changed_total"),
            in_place: gauge!("holdfast_state_redis_decides"),
            told: Mutex::default(),
            flushes_failed: counter!("holdfast_state_flushes_failed_total"),
        }
    }

    /// A write was answered.
    pub(super) fn wrote(&self, command: &Command, written: Result<&Written, &Failed>, took: Duration) {
        match written {
            Ok(written) => {
                let cached = written.durability == Durability::Cached;
                self.calls.written(cached, took);
                self.calls.blind_overwrites.increment(Engine::blind(command) as u64);
                let turned = command.durability == Durability::Cached && !cached;
                self.calls.cached_turned_durable.increment(u64::from(turned));
            }
            Err(Failed::Refused(refusal)) => match **refusal {
                Refusal::Conflict { .. } => self.calls.conflicts.increment(1),
                Refusal::Lost { .. } => self.calls.losses.increment(1),
                Refusal::NotThere { .. } | Refusal::LockLost { .. } => {}
            },
            Err(Failed::Fenced(_)) => self.calls.fence_refusals.increment(1),
            Err(_) => {}
        }
    }

    /// Who decides is known anew.
    pub(super) fn learned(&self, before: Option<&Deciding>, now: &Deciding) {
        self.told_lost(&now.losses);
        let who = match now.who {
            Who::Store => "postgres",
            Who::Place(_) => "redis",
        };
        self.in_place.set(if now.who == Who::Store { 0.0 } else { 1.0 });
        match before {
            Some(before) if before.epoch == now.epoch => {
                if now.draining && !before.draining {
                    warn!(epoch = %now.epoch, who, "who decides is being changed");
                }
            }
            Some(before) => {
                self.epochs_changed.increment(1);
                if now.epochs.is_lost(before.epoch) {
                    warn!(ended = %before.epoch, epoch = %now.epoch, who, "an epoch has ended with loss");
                } else {
                    info!(ended = %before.epoch, epoch = %now.epoch, who, "an epoch has ended, and nothing is lost");
                }
            }
            None => info!(epoch = %now.epoch, who, "who decides is known"),
        }
    }

    /// Says once what each epoch that ended with loss may have lost, whoever ended it: he may be dead since.
    fn told_lost(&self, losses: &[LostEpoch]) {
        for lost in losses {
            if !self.told.lock().insert(lost.ended.epoch) {
                continue;
            }
            self.calls.epoch_lost(Some(lost));
            let shards: Vec<_> = lost.shards.iter().map(|shard| shard.index()).collect();
            warn!(
                epoch = %lost.ended.epoch,
                ended = lost.ended.at,
                ?shards,
                writes_max = lost.bound.writes,
                bytes_max = lost.bound.bytes,
                "the place that decided was gone, or could not be proven whole: the newest CACHED writes of these shards \
                 may be lost, so many at most"
            );
        }
    }
}
