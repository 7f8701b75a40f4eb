#![doc = include_str!("../README.md")]

pub mod apart;
mod lines;
pub mod metrics;
mod spans;
pub mod traceparent;

use std::io::IsTerminal as _;

use holdfast_config::{LogFormat, Telemetry};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt as _, registry, registry::LookupSpan,
    util::SubscriberInitExt as _,
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
    /// A recorder or subscriber is installed already.
    #[error("telemetry is set up already")]
    Installed,
}

/// Keeps the exporter alive; [`Guard::shutdown`] sends what is left.
#[derive(Debug)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs, traces and metrics for this process. Called once, within a Tokio runtime.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(service: &'static str, config: &Telemetry) -> Result<Guard, TelemetryError> {
    metrics::install()?;
    let filter = filter(&config.log)?;
    let provider = traceparent::export_wanted().then(|| spans::provider(service)).transpose()?;
    provider.as_ref().inspect(|provider| apart::install(provider));
    let installed = match &provider {
        None => registry().with(filter).with(lines(config)).try_init(),
        // What is logged and what is traced are two questions: a quiet log must not cost the traces.
        Some(provider) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("holdfast"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(LevelFilter::INFO);
            registry().with(lines(config).with_filter(filter)).with(traces).try_init()
        }
    };
    installed.map_err(|_| TelemetryError::Installed)?;
    Ok(Guard { provider })
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
    /// Sends the spans that still wait, within the exporter's own time limit.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        // The exporter needs this runtime to go on while it sends, so the wait is on another thread.
        let sent = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = sent {
            tracing::warn!(%error, "not every span was exported");
        }
    }
}
