use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use metrics::counter;
use opentelemetry::{Context, trace::SpanId};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfig, BatchConfigBuilder, BatchSpanProcessor, IdGenerator as _, RandomIdGenerator, Sampler,
        SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
    },
};

use crate::{
    TelemetryError,
    collector::{self, Collector},
    head,
    journal::Journal,
};

/// Spans that may wait for the exporter, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise.
const WAITING_MAX: usize = 8_192;
/// Spans of one message, unless `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` says otherwise. Some carry prompts and answers, and a
/// collector takes no message of more than 4 MiB.
const BATCH_MAX: usize = 128;

/// A provider that exports in batches from a bounded queue, and the way for spans that are told by hand. Begins with what an
/// earlier life of this process left.
pub(crate) fn provider(
    to: Collector,
    resource: Resource,
    sampler: Sampler,
    kept: Option<(Journal, Vec<SpanData>)>,
) -> Result<(SdkTracerProvider, Outlet), TelemetryError> {
    let (journal, left) = kept.unzip();
    let (journal, waiting) = (journal.map(Arc::new), Arc::new(AtomicUsize::new(0)));
    let channel = to.endpoint.timeout(to.timeout).connect_lazy();
    let exporter = OtlpExporter::builder().with_tonic().with_channel(channel).with_timeout(to.timeout);
    let exporter = exporter.with_metadata(to.headers);
    // It reads the headers once more by itself.
    let exporter = exporter.with_interceptor(collector::unseen).build()?;
    let exporter = Counted { exporter, waiting: waiting.clone(), journal: journal.clone() };
    let (waiting_max, config) = bounds(|name| std::env::var(name).ok());
    let mut batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    batches.set_resource(&resource);
    let outlet = Outlet(Arc::new(Bounded { batches, waiting, waiting_max, journal }));
    left.into_iter().flatten().for_each(|span| outlet.take(span));
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_id_generator(head::Ids::default())
        .with_span_processor(outlet.clone())
        .with_resource(resource)
        .build();
    Ok((provider, outlet))
}

/// How many may wait, and the exporter's batches.
fn bounds(said: impl Fn(&'static str) -> Option<String>) -> (usize, BatchConfig) {
    let bound = |name, most| said(name).and_then(|text| text.parse().ok()).filter(|most| *most > 0).unwrap_or(most);
    let waiting_max = bound("OTEL_BSP_MAX_QUEUE_SIZE", WAITING_MAX);
    let batch_max = bound("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_MAX);
    let config = BatchConfigBuilder::default().with_max_queue_size(waiting_max).with_max_export_batch_size(batch_max);
    (waiting_max, config.build())
}

/// Counts spans as they come out of the exporter, well or not.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    journal: Option<Arc<Journal>>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let ids = batch.iter().map(|span| span.span_context.span_id().to_bytes());
        let ids = self.journal.is_some().then(|| ids.collect::<Vec<_>>());
        let result = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        if let Some((journal, ids)) = self.journal.as_ref().zip(ids) {
            // What the collector did not take will not be taken later either: it is not a store.
            journal.gone(ids.into_iter());
        }
        let outcome = if result.is_ok() { "exported" } else { "failed" };
        counter!("holdfast_spans_total", "outcome" => outcome).increment(spans as u64);
        result
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Where spans go that are over. The line to the exporter has an end: what finds no room is dropped and counted, and
/// nobody ever waits.
#[derive(Debug, Clone)]
pub(crate) struct Outlet(Arc<Bounded>);

#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
    journal: Option<Arc<Journal>>,
}

impl Outlet {
    /// Takes a span that is over.
    pub(crate) fn take(&self, span: SpanData) {
        let Bounded { batches, waiting, waiting_max, journal } = &*self.0;
        let has_room = |many| (many < *waiting_max).then_some(many + 1);
        let outcome = match waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room) {
            Ok(_) => {
                journal.iter().for_each(|journal| journal.ended(&span));
                batches.on_end(span);
                "ended"
            }
            Err(_) => {
                let id = span.span_context.span_id().to_bytes();
                journal.iter().for_each(|journal| journal.gone([id].into_iter()));
                "dropped"
            }
        };
        counter!("holdfast_spans_total", "outcome" => outcome).increment(1);
    }

    pub(crate) fn new_span_id(&self) -> SpanId {
        RandomIdGenerator::default().new_span_id()
    }
}

impl SpanProcessor for Outlet {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.journal.iter().for_each(|journal| journal.begun(span));
        self.0.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.take(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        let ended = self.0.batches.shutdown_with_timeout(timeout);
        self.0.journal.iter().for_each(|journal| journal.end());
        ended
    }

    // The resource was set before it was shared.
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::{
        Context,
        trace::{Tracer as _, TracerProvider as _},
    };
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::collector::{
        Signal,
        secured::{KEY, Secured},
    };

    /// A collector that takes nothing until it is told to.
    #[derive(Debug)]
    struct Stuck {
        told: watch::Receiver<bool>,
        took: mpsc::UnboundedSender<usize>,
    }

    impl SpanExporter for Stuck {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let _ = self.told.clone().wait_for(|told| *told).await;
            let _ = self.took.send(batch.len());
            Ok(())
        }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_nobody_waits() {
        const ROOM: usize = 64;
        let ((go, told), (took, mut taken)) = (watch::channel(false), mpsc::unbounded_channel());
        let waiting = Arc::new(AtomicUsize::new(0));
        let exporter = Counted { exporter: Stuck { told, took }, waiting: waiting.clone(), journal: None };
        let config = BatchConfigBuilder::default().with_max_queue_size(ROOM).with_max_export_batch_size(8);
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config.build()).build();
        let outlet = Outlet(Arc::new(Bounded { batches, waiting: waiting.clone(), waiting_max: ROOM, journal: None }));
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let span = || tracer.build_with_context(tracer.span_builder("span"), &Context::new()).exported_data();
        for _ in 0..10 * ROOM {
            outlet.take(span().expect("it is recorded"));
        }
        assert_eq!(waiting.load(Ordering::Relaxed), ROOM, "so many wait, and no more");

        go.send(true).expect("the exporter listens");
        outlet.shutdown_with_timeout(Duration::from_secs(30)).expect("it sends what is left");
        let mut sent = 0;
        while let Ok(spans) = taken.try_recv() {
            sent += spans;
        }
        assert_eq!((sent, waiting.load(Ordering::Relaxed)), (ROOM, 0), "what found room is sent");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_go_over_tls_to_whom_a_trusted_authority_vouches_for_and_to_nobody_else() {
        let mut collector = Secured::open().await;
        // Where a machine trusts nobody at all, that is told at once.
        let stranger = collector.way(Signal::Traces, false).ok().flatten();
        for to in stranger.into_iter().chain([collector.way(Signal::Traces, true).unwrap().expect("it is named")]) {
            let (provider, _) = provider(to, Resource::builder_empty().build(), Sampler::AlwaysOn, None).unwrap();
            drop(provider.tracer("test").start_with_context("span", &Context::new()));
            let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(60)));
            let _ = sent.await.expect("no panic");
        }
        let shown = Some(KEY.1.to_owned());
        assert_eq!(collector.got.try_recv(), Ok((Signal::Traces, shown)), "who knows its authority shows it the key");
        assert!(collector.got.try_recv().is_err(), "and nobody else says anything");
    }

    #[test]
    fn a_message_has_few_spans_unless_the_environment_says_otherwise() {
        for (said, most) in [(None, BATCH_MAX), (Some("0"), BATCH_MAX), (Some("300"), 300)] {
            let said = |name| said.filter(|_| name == "OTEL_BSP_MAX_EXPORT_BATCH_SIZE").map(str::to_owned);
            let (waiting_max, config) = bounds(said);
            assert_eq!(waiting_max, WAITING_MAX);
            let config = format!("{config:?}");
            assert!(config.contains(&format!("max_export_batch_size: {most},")), "{config}");
        }
    }
}
