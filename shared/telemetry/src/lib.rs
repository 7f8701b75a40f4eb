#![doc = include_str!("../README.md")]

pub mod apart;
mod collector;
mod head;
mod journal;
mod lines;
pub mod metrics;
pub mod redaction;
mod resource;
mod spans;
pub mod standing;
pub mod traceparent;

use std::{io::IsTerminal as _, path::Path};

use holdfast_config::{LogFormat, Telemetry};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracerProvider, SpanData},
};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt as _, registry, registry::LookupSpan, util::SubscriberInitExt as _,
};

use self::{
    collector::{Collector, Signal},
    journal::Journal,
};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `[telemetry] log` is not a filter.
    #[error("telemetry.log: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The OTLP exporter did not take its settings.
    #[error("the OTLP exporter: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Spans and metrics cannot be sent to where the environment says.
    #[error("{name}: {why}")]
    Variable {
        /// Which variable says it.
        name: String,
        /// What is wrong with it; never what it says of keys.
        why: String,
    },
    /// A recorder or subscriber is installed already.
    #[error("telemetry is set up already")]
    Installed,
}

/// Keeps the exporters alive; [`Guard::shutdown`] sends what is left.
#[derive(Debug)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
    metrics: Option<metrics::Pusher>,
}

/// Sets up logs, traces and metrics for this process. Called once, within a Tokio runtime. In the directory is kept what of
/// the traces a killed process leaves to its next life.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(service: &'static str, config: &Telemetry, directory: Option<&Path>) -> Result<Guard, TelemetryError> {
    metrics::install()?;
    let filter = filter(&config.log)?;
    let resource = resource::resource(service);
    let to = Collector::read(Signal::Traces, &collector::environment)?;
    let directory = directory.filter(|_| to.is_some() && config.keep_spans);
    let (kept, unkept) = match directory.map(|directory| Journal::open(directory, service)).transpose() {
        Ok(kept) => (kept, None),
        Err(error) => (None, Some(error)),
    };
    let provider = to.map(|to| traces(to, resource.clone(), config, kept)).transpose()?;
    let installed = match &provider {
        None => registry().with(filter).with(lines(config)).try_init(),
        // What is logged and what is traced are two questions: a quiet log must not cost the traces.
        Some(provider) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("holdfast"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                // Who is above a span is told by spans alone, and nobody asks the context of a thread.
                .with_context_activation(false)
                .with_filter(head::Recorded);
            registry().with(lines(config).with_filter(filter)).with(traces).try_init()
        }
    };
    installed.map_err(|_| TelemetryError::Installed)?;
    if let Some(error) = unkept {
        tracing::warn!(%error, "the spans of this process are lost when it is killed: they cannot be kept");
    }
    Ok(Guard { provider, metrics: metrics::push(&resource)? })
}

/// Spans are exported from here on, those that the head of their trace decides for.
fn traces(
    to: Collector,
    resource: Resource,
    config: &Telemetry,
    kept: Option<(Journal, Vec<SpanData>)>,
) -> Result<SdkTracerProvider, TelemetryError> {
    let sampler = head::sampler(config.trace_ratio);
    head::install(&sampler);
    let (provider, outlet) = spans::provider(to, resource, sampler, kept)?;
    apart::install(&provider, outlet);
    Ok(provider)
}

/// Logs in the configured format.
fn lines<S>(config: &Telemetry) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(true);
            lines.fmt_fields(lines::Json::default()).boxed()
        }
        // The target tells the services of `up` apart; colours are for people alone.
        LogFormat::Text => lines.fmt_fields(lines::Text).with_ansi(std::io::stderr().is_terminal()).boxed(),
    }
}

/// Libraries that tell more than anybody should read unasked, and how much of it is enough: the MCP library every message with
/// all that is in it; the exporter what a collector answers, which may repeat the key that it was shown.
const TALKATIVE: [(&str, &str); 2] = [("rmcp", "error"), ("opentelemetry-otlp", "info")];

/// The configured filter. Who wants to hear a talkative library asks for it by name.
fn filter(log: &str) -> Result<EnvFilter, TelemetryError> {
    let unasked = TALKATIVE.iter().filter(|(library, _)| !log.contains(library));
    let quiet: String = unasked.map(|(library, level)| format!(",{library}={level}")).collect();
    Ok(EnvFilter::try_new(format!("{log}{quiet}"))?)
}

/// Whether spans and metrics can be sent to where the environment says, as far as can be told without sending any.
///
/// # Errors
/// What the environment says of it and cannot be followed.
pub fn check() -> Result<(), TelemetryError> {
    for signal in [Signal::Traces, Signal::Metrics] {
        Collector::read(signal, &collector::environment)?;
    }
    Ok(())
}

impl Guard {
    /// Sends the spans that still wait, within the exporter's own time limit, and then what was counted to the end.
    pub async fn shutdown(self) {
        if let Some(provider) = self.provider {
            // The exporter needs this runtime to go on while it sends, so the wait is on another thread.
            let sent = tokio::task::spawn_blocking(move || provider.shutdown()).await;
            if let Ok(Err(error)) = sent {
                tracing::warn!(%error, "not every span was exported");
            }
        }
        if let Some(metrics) = self.metrics {
            metrics.stop().await;
        }
    }
}
