#![doc = include_str!("../README.md")]

pub mod apart;
pub mod head;
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

use self::journal::Journal;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `[telemetry] log` is not a filter.
    #[error("telemetry.log: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The OTLP exporter did not take its settings.
    #[error("the OTLP exporter: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Metrics cannot be pushed to where the environment says.
    #[error("{0}")]
    Metrics(String),
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
    let wanted = traceparent::export_wanted();
    let directory = directory.filter(|_| wanted && config.keep_spans);
    let (kept, unkept) = match directory.map(|directory| Journal::open(directory, service)).transpose() {
        Ok(kept) => (kept, None),
        Err(error) => (None, Some(error)),
    };
    let provider = wanted.then(|| traces(resource.clone(), config, kept)).transpose()?;
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
    resource: Resource,
    config: &Telemetry,
    kept: Option<(Journal, Vec<SpanData>)>,
) -> Result<SdkTracerProvider, TelemetryError> {
    let sampler = head::sampler(config.trace_ratio);
    head::install(&sampler);
    let (provider, outlet) = spans::provider(resource, sampler, kept)?;
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

/// The configured filter. The MCP library tells every message with all that is in it: who wants that asks for it by name.
fn filter(log: &str) -> Result<EnvFilter, TelemetryError> {
    let quiet = if log.contains("rmcp") { "" } else { ",rmcp=error" };
    Ok(EnvFilter::try_new(format!("{log}{quiet}"))?)
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
