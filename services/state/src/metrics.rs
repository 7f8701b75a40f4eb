//! What the service counts.

use std::time::Duration;

use holdfast_resilience::breaker::State;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::store::LostEpoch;

/// Handles of everything that is counted on the way of a call, so that no call looks one up by name.
#[derive(Debug, Clone)]
pub struct Metrics {
    reads_hit: Histogram,
    reads_filled: Histogram,
    lists: Histogram,
    writes_durable: Histogram,
    writes_cached: Histogram,
    flush_seconds: Histogram,
    flush_entries: Histogram,
    /// Writes that came too late.
    pub conflicts: Counter,
    /// Versions that name a write that is gone.
    pub losses: Counter,
    /// Writes that were taken before.
    pub repeats: Counter,
    /// Writes that ask for no version.
    pub blind_overwrites: Counter,
    /// Calls of superseded leases.
    pub fence_refusals: Counter,
    /// CACHED writes that had to wait for the store.
    pub cached_turned_durable: Counter,
    /// CACHED writes that are not stored.
    pub dirty_writes: Gauge,
    /// Their bytes.
    pub dirty_bytes: Gauge,
    /// The age of the oldest write that is not stored.
    pub unstored_age: Gauge,
    /// Bytes in the cache.
    pub cache_bytes: Gauge,
    epochs_lost: Counter,
    lost_bound: Gauge,
}

impl Metrics {
    /// Describes everything, and names the backend on what depends on it.
    pub fn new(backend: &'static str) -> Self {
        describe();
        let read = |outcome| histogram!("holdfast_state_read_seconds", "backend" => backend, "from" => outcome);
        let write = |as_| histogram!("holdfast_state_write_seconds", "backend" => backend, "durability" => as_);
        Self {
            reads_hit: read("cache"),
            reads_filled: read("store"),
            lists: read("list"),
            writes_durable: write("durable"),
            writes_cached: write("cached"),
            flush_seconds: histogram!("holdfast_state_flush_seconds", "backend" => backend),
            flush_entries: histogram!("holdfast_state_flush_entries", "backend" => backend),
            conflicts: counter!("holdfast_state_conflicts_total"),
            losses: counter!("holdfast_state_lost_versions_total"),
            repeats: counter!("holdfast_state_repeated_writes_total"),
            blind_overwrites: counter!("holdfast_state_blind_overwrites_total"),
            fence_refusals: counter!("holdfast_state_fence_refusals_total"),
            cached_turned_durable: counter!("holdfast_state_cached_turned_durable_total"),
            dirty_writes: gauge!("holdfast_state_dirty_writes"),
            dirty_bytes: gauge!("holdfast_state_dirty_bytes"),
            unstored_age: gauge!("holdfast_state_unstored_age_seconds"),
            cache_bytes: gauge!("holdfast_state_cache_bytes"),
            epochs_lost: counter!("holdfast_state_epochs_lost_total"),
            lost_bound: gauge!("holdfast_state_epoch_lost_bound_writes"),
        }
    }

    /// A read was answered.
    pub fn read(&self, from_cache: bool, took: Duration) {
        if from_cache { &self.reads_hit } else { &self.reads_filled }.record(took);
    }

    /// A page was answered.
    pub fn listed(&self, took: Duration) {
        self.lists.record(took);
    }

    /// A write was acknowledged.
    pub fn written(&self, cached: bool, took: Duration) {
        if cached { &self.writes_cached } else { &self.writes_durable }.record(took);
    }

    /// A transaction ended.
    pub fn flushed(&self, entries: usize, took: Duration) {
        self.flush_seconds.record(took);
        self.flush_entries.record(entries as f64);
    }

    /// The last life ended with loss.
    pub fn epoch_lost(&self, lost: Option<&LostEpoch>) {
        self.epochs_lost.increment(u64::from(lost.is_some()));
        self.lost_bound.set(lost.map_or(0.0, |lost| lost.bound.writes as f64));
    }
}

/// A circuit breaker changed.
pub fn circuit_changed(circuit: &'static str, state: State) {
    let to = match state {
        State::Closed => "closed",
        State::HalfOpen => "half_open",
        State::Open => "open",
    };
    counter!("holdfast_circuit_transitions_total", "circuit" => circuit, "to" => to).increment(1);
    circuit_stands(circuit, state);
}

/// How a circuit breaker stands.
pub fn circuit_stands(circuit: &'static str, state: State) {
    let level = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    gauge!("holdfast_circuit_state", "circuit" => circuit).set(level);
}

fn describe() {
    describe_gauge!("holdfast_circuit_state", Unit::Count, "A circuit breaker: 0 closed, 1 half-open, 2 open.");
    describe_counter!("holdfast_circuit_transitions_total", Unit::Count, "Changes of a circuit breaker by new state.");
    describe_histogram!(
        "holdfast_state_read_seconds",
        Unit::Seconds,
        "Time to answer a read, by whether cache or store had it."
    );
    describe_histogram!(
        "holdfast_state_write_seconds",
        Unit::Seconds,
        "Time to acknowledge a write, by how safe it then was."
    );
    describe_histogram!("holdfast_state_flush_seconds", Unit::Seconds, "Time of one transaction of the flusher.");
    describe_histogram!("holdfast_state_flush_entries", Unit::Count, "Log entries in one transaction of the flusher.");
    describe_counter!("holdfast_state_conflicts_total", Unit::Count, "Writes that came too late: ABORTED.");
    describe_counter!(
        "holdfast_state_lost_versions_total",
        Unit::Count,
        "Writes that follow from a write that is gone: DATA_LOSS."
    );
    describe_counter!(
        "holdfast_state_repeated_writes_total",
        Unit::Count,
        "Repeats of a write, answered with its first answer."
    );
    describe_counter!("holdfast_state_blind_overwrites_total", Unit::Count, "Records overwritten without a version.");
    describe_counter!("holdfast_state_fence_refusals_total", Unit::Count, "Calls of leases that are superseded.");
    describe_counter!(
        "holdfast_state_cached_turned_durable_total",
        Unit::Count,
        "CACHED writes that waited for the store: the first of a shard, and those past the bounds."
    );
    describe_gauge!("holdfast_state_dirty_writes", Unit::Count, "CACHED writes that are not stored yet.");
    describe_gauge!("holdfast_state_dirty_bytes", Unit::Bytes, "Their bytes.");
    describe_gauge!("holdfast_state_unstored_age_seconds", Unit::Seconds, "Age of the oldest write not stored yet.");
    describe_gauge!("holdfast_state_cache_bytes", Unit::Bytes, "Bytes of records in the cache.");
    describe_counter!(
        "holdfast_state_epochs_lost_total",
        Unit::Count,
        "Epochs that were found to have ended with loss."
    );
    describe_gauge!(
        "holdfast_state_epoch_lost_bound_writes",
        Unit::Count,
        "The most CACHED writes that the last epoch can have lost; 0 where it ended without loss."
    );
}
