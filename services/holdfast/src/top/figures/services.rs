//! Services by what they say of themselves, and the state service's latency.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::history::History;
use super::super::known::{Health, Known, Process, Source};
use super::super::metrics::Sample;

/// Calls that last as long as their callers like: no word about how quick a service is.
const WAITS: [&str; 7] = ["Watch", "Stream", "Work", "RunInvocation", "Lease", "AcquireLock", "grpc."];

/// One process.
#[derive(Debug)]
pub(crate) struct Service<'a> {
    pub(crate) name: &'static str,
    pub(crate) address: &'a str,
    pub(crate) health: &'a Source<Health>,
    pub(crate) metrics: &'a Source<()>,
    /// In a second.
    pub(crate) calls: Option<f64>,
    /// Those of them that were not answered with OK.
    pub(crate) not_ok: Option<f64>,
    pub(crate) p99: Option<Duration>,
    pub(crate) memory_bytes: Option<f64>,
    /// Of one processor.
    pub(crate) cpu: Option<f64>,
}

pub(crate) fn services(known: &Known) -> Vec<Service<'_>> {
    known.processes.iter().map(service).collect()
}

fn service(process: &Process) -> Service<'_> {
    let history = &process.history;
    let ours = |sample: &Sample| !sample.label("method").starts_with("grpc.");
    let quick = |sample: &Sample| !WAITS.iter().any(|wait| sample.label("method").contains(wait));
    Service {
        name: process.service.name,
        address: &process.service.address,
        health: &process.health,
        metrics: &process.metrics,
        calls: history.rate("holdfast_requests_total", ours),
        not_ok: history.rate("holdfast_requests_total", |sample| ours(sample) && sample.label("code") != "Ok"),
        p99: history.quantile("holdfast_request_seconds", 0.99, quick),
        memory_bytes: history.sum("process_resident_memory_bytes", |_| true),
        cpu: history
            .sum("process_cpu_seconds_total", |_| true)
            .and_then(|_| history.rate("process_cpu_seconds_total", |_| true)),
    }
}

/// One kind of access.
#[derive(Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) backend: String,
    /// "read" or "write".
    pub(crate) access: &'static str,
    /// Where a read's answer came from, how safe a write was.
    pub(crate) kind: String,
    pub(crate) per_second: Option<f64>,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

/// The state service, all its processes together.
#[derive(Debug, Default)]
pub(crate) struct StateFigures {
    pub(crate) latencies: Vec<Latency>,
    pub(crate) conflicts_per_second: Option<f64>,
    pub(crate) dirty_writes: Option<f64>,
    pub(crate) unstored_age: Option<Duration>,
    pub(crate) epochs_lost: Option<f64>,
}

pub(crate) fn state(known: &Known) -> StateFigures {
    let histories: Vec<&History> = known.of("state").map(|process| &process.history).collect();
    let mut latencies = Vec::new();
    for (access, label) in [("read", "from"), ("write", "durability")] {
        let name = format!("holdfast_state_{access}_seconds");
        latencies.extend(accesses(&histories, &name, access, label));
    }
    let rates = histories.iter().map(|history| history.rate("holdfast_state_conflicts_total", |_| true));
    let newest = |name: &'static str| histories.iter().filter_map(move |history| history.sum(name, |_| true));
    let age = newest("holdfast_state_unstored_age_seconds")
        .fold(None, |age: Option<f64>, next| Some(age.unwrap_or(0.0).max(next)));
    StateFigures {
        latencies,
        conflicts_per_second: total(rates.flatten()),
        dirty_writes: total(newest("holdfast_state_dirty_writes")),
        unstored_age: age.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        epochs_lost: total(newest("holdfast_state_epochs_lost_total")),
    }
}

/// The accesses that there ever were. Of several processes the slower one tells the quantile.
fn accesses<'a>(
    histories: &'a [&'a History],
    name: &'a str,
    access: &'static str,
    label: &'a str,
) -> impl Iterator<Item = Latency> + 'a {
    let count = format!("{name}_count");
    let mut kinds = BTreeSet::new();
    for sample in histories.iter().flat_map(|history| history.newest(&count)).filter(|sample| sample.value > 0.0) {
        kinds.insert((sample.label("backend").to_owned(), sample.label(label).to_owned()));
    }
    kinds.into_iter().map(move |(backend, kind)| {
        let wanted = |sample: &Sample| sample.label("backend") == backend && sample.label(label) == kind;
        let worst = |of| histories.iter().filter_map(|history| history.quantile(name, of, wanted)).max();
        let rates = histories.iter().filter_map(|history| history.rate(&count, wanted));
        Latency {
            per_second: total(rates),
            p50: worst(0.5),
            p99: worst(0.99),
            access,
            backend: backend.clone(),
            kind: kind.clone(),
        }
    })
}

/// The sum of what is there; nothing where nothing is.
pub(super) fn total(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}
