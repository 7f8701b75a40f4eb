//! The process's metrics: recorded by the `metrics` macros, rendered for Prometheus.

use std::{sync::OnceLock, time::Duration};

use metrics::{Unit, describe_counter};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::TelemetryError;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Upper bounds of latency histograms, in seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Upper bounds of histograms that count things (tokens, rows of a batch).
const COUNTS: [f64; 15] =
    [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 50_000.0, 250_000.0];

/// How often histograms fold what was recorded since, so that a process that nobody scrapes stays small.
const UPKEEP: Duration = Duration::from_secs(5);

pub(crate) fn install() -> Result<(), TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&COUNTS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|_| TelemetryError::Installed)?;
    HANDLE.set(handle.clone()).map_err(|_| TelemetryError::Installed)?;
    describe_counter!(
        "holdfast_spans_total",
        Unit::Count,
        "Trace spans by outcome: ended, exported, failed. Ended less the others were dropped or still wait."
    );
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            handle.run_upkeep();
        }
    });
    Ok(())
}

/// The metrics in Prometheus' text format; empty where [`crate::init`] was not called (as in tests of one service).
pub fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}
