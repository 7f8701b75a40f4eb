//! The process's metrics: recorded by the `metrics` macros, and shown twice, from one page: to whoever asks for `/metrics`,
//! and, where the environment names a collector, to it. Nothing is counted a second time, so both are the same set.

mod otlp;
mod page;
mod push;
mod settings;
mod units;

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use ::metrics::{Unit, describe_counter, set_global_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use opentelemetry_sdk::Resource;

pub(crate) use self::push::Pusher;
use self::{
    settings::Settings,
    units::{Units, WithUnits},
};
use crate::TelemetryError;

static SHOWN: OnceLock<Shown> = OnceLock::new();

/// Upper bounds of latency histograms, in seconds: from a hit in a cache to a wait in a full queue.
const SECONDS: [f64; 19] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0,
];

/// Upper bounds of histograms that count things (tokens, rows of a batch).
const COUNTS: [f64; 15] =
    [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 50_000.0, 250_000.0];

/// How often histograms fold what was recorded since, so that a process that nobody scrapes stays small.
const UPKEEP: Duration = Duration::from_secs(5);

/// Where what is counted can be read.
#[derive(Debug, Clone)]
struct Shown {
    recorded: PrometheusHandle,
    units: Units,
    /// What the system tells of this process is asked for when somebody looks.
    process: Collector,
    /// Counters began with nothing then.
    since: SystemTime,
}

impl Shown {
    fn page(&self) -> String {
        self.process.collect();
        self.recorded.render()
    }
}

pub(crate) fn install() -> Result<(), TelemetryError> {
    let (recorder, shown) = recorder()?;
    set_global_recorder(recorder).map_err(|_| TelemetryError::Installed)?;
    let recorded = shown.recorded.clone();
    shown.process.describe();
    SHOWN.set(shown).map_err(|_| TelemetryError::Installed)?;
    describe_counter!(
        "holdfast_spans_total",
        Unit::Count,
        "Trace spans by outcome: ended, exported, failed, and dropped, for which there was no room. What ended and is \
         neither exported nor failed still waits."
    );
    push::describe();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            recorded.run_upkeep();
        }
    });
    Ok(())
}

fn recorder() -> Result<(WithUnits, Shown), TelemetryError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&COUNTS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS))
        .map_err(|_| TelemetryError::Installed)?
        .build_recorder();
    let (recorded, units) = (recorder.handle(), Units::default());
    let shown = Shown { recorded, units: units.clone(), process: Collector::default(), since: SystemTime::now() };
    Ok((WithUnits::new(recorder, units), shown))
}

/// Begins to send what [`install`] records, where the environment names a collector.
///
/// # Errors
/// The endpoint or a header is not one.
pub(crate) fn push(resource: &Resource) -> Result<Option<Pusher>, TelemetryError> {
    let (Some(shown), Some(settings)) = (SHOWN.get(), Settings::from_environment()?) else { return Ok(None) };
    Ok(Some(Pusher::start(shown.clone(), resource, settings)))
}

/// The metrics in Prometheus' text format; empty where [`crate::init`] was not called (as in tests of one service).
pub fn render() -> String {
    SHOWN.get().map(Shown::page).unwrap_or_default()
}
