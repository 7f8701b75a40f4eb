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

/// What this process has used of the processor, in the system's ticks and not in whole seconds.
const PROCESSOR: &str = "process_cpu_seconds_total";

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
        // Counters hold whole numbers, so the seconds of the processor are kept in a gauge, and shown as what they are.
        let kept = format!("# TYPE {PROCESSOR} gauge\n");
        self.recorded.render().replacen(&kept, &format!("# TYPE {PROCESSOR} counter\n"), 1)
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

#[cfg(test)]
mod tests {
    use ::metrics::with_local_recorder;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;

    use super::*;

    #[test]
    fn the_processors_time_is_a_counter_of_ticks() {
        let (recorder, shown) = recorder().expect("the bounds are some");
        let page = || with_local_recorder(&recorder, || shown.page());
        let used = || {
            let page = page();
            let line = page.lines().find(|line| line.starts_with(PROCESSOR)).expect("it is shown");
            line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
        };
        let before = used();
        let more = loop {
            let more = used() - before;
            if more > 0.0 {
                break more;
            }
        };
        assert!(more < 1.0, "{more}");
        let times = otlp::Times::new(shown.since, SystemTime::now());
        let metrics = otlp::metrics(&page(), &shown.units, times);
        let pushed = metrics.into_iter().find(|metric| metric.name == PROCESSOR).expect("it is pushed");
        assert!(matches!(pushed.data, Some(Data::Sum(sum)) if sum.is_monotonic), "as what it is");
    }
}
