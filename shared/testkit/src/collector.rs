mod metrics;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

pub use self::metrics::ReceivedMetrics;

/// A span as it came over OTLP.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    /// The `service.name` of the process that sent it.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// The trace that it belongs to, in hex.
    pub trace_id: String,
    /// Its own id, in hex.
    pub span_id: String,
    /// The id of the span above it, in hex; empty for a root.
    pub parent_id: String,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// Its attributes, as text.
    pub attributes: Vec<(String, String)>,
}

impl ReceivedSpan {
    /// An attribute by its name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An OTLP endpoint (gRPC) for traces and metrics that keeps what it gets.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: watch::Receiver<Vec<ReceivedSpan>>,
    metrics: watch::Receiver<Vec<ReceivedMetrics>>,
    verbatim: Verbatim,
    serving: JoinHandle<()>,
}

/// Every message as it came, byte for byte, where somebody wants that.
#[derive(Debug, Clone, Default)]
struct Verbatim(Option<Arc<Mutex<Vec<u8>>>>);

impl Verbatim {
    fn keep(&self, message: impl FnOnce() -> Vec<u8>) {
        if let Self(Some(kept)) = self {
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend(message());
        }
    }
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start() -> Self {
        Self::start_with(Verbatim::default()).await
    }

    /// The same, which keeps the messages themselves too, for [`Self::verbatim`].
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start_verbatim() -> Self {
        Self::start_with(Verbatim(Some(Arc::default()))).await
    }

    async fn start_with(verbatim: Verbatim) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (keep, spans) = watch::channel(Vec::new());
        let traces = TraceServiceServer::new(Keeper { spans: keep, verbatim: verbatim.clone() });
        let (pushes, metrics) = watch::channel(Vec::new());
        let pushed = MetricsServiceServer::new(metrics::Keeper { pushes, verbatim: verbatim.clone() });
        let server = tonic::transport::Server::builder().add_service(traces).add_service(pushed);
        let serving = tokio::spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("the collector serves");
        });
        Self { address, spans, metrics, verbatim, serving }
    }

    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything received so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.spans.borrow().clone()
    }

    /// Every push of metrics so far.
    pub fn metrics(&self) -> Vec<ReceivedMetrics> {
        self.metrics.borrow().clone()
    }

    /// Waits until the pushes of metrics satisfy a condition, and gives them; None when they do not within the time.
    pub async fn wait_for_metrics(
        &self,
        within: Duration,
        condition: impl FnMut(&Vec<ReceivedMetrics>) -> bool,
    ) -> Option<Vec<ReceivedMetrics>> {
        let mut metrics = self.metrics.clone();
        let found = tokio::time::timeout(within, metrics.wait_for(condition)).await.ok()?;
        found.ok().map(|metrics| metrics.clone())
    }

    /// Everything received so far as it came, where it was [started](Self::start_verbatim) to keep that.
    pub fn verbatim(&self) -> Vec<u8> {
        let kept = self.verbatim.0.as_ref();
        kept.map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    /// Waits until the spans received satisfy a condition, and gives them; None when they do not within the time.
    pub async fn wait_for(
        &self,
        within: Duration,
        condition: impl FnMut(&Vec<ReceivedSpan>) -> bool,
    ) -> Option<Vec<ReceivedSpan>> {
        let mut spans = self.spans.clone();
        let found = tokio::time::timeout(within, spans.wait_for(condition)).await.ok()?;
        found.ok().map(|spans| spans.clone())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Keeper {
    spans: watch::Sender<Vec<ReceivedSpan>>,
    verbatim: Verbatim,
}

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        self.verbatim.keep(|| request.encode_to_vec());
        let received = request.resource_spans.into_iter().flat_map(|resource| {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = texts(attributes).find(|(key, _)| key == "service.name").map(|(_, name)| name);
            let service = service.unwrap_or_default();
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| received(service.clone(), span))
        });
        self.spans.send_modify(|spans| spans.extend(received));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn received(service: String, span: Span) -> ReceivedSpan {
    ReceivedSpan {
        service,
        name: span.name,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        began: span.start_time_unix_nano,
        attributes: texts(span.attributes).collect(),
    }
}

fn texts(attributes: Vec<KeyValue>) -> impl Iterator<Item = (String, String)> {
    attributes.into_iter().filter_map(|attribute| {
        let text = match attribute.value?.value? {
            any_value::Value::StringValue(text) => text,
            any_value::Value::BoolValue(value) => value.to_string(),
            any_value::Value::IntValue(value) => value.to_string(),
            any_value::Value::DoubleValue(value) => value.to_string(),
            other => format!("{other:?}"),
        };
        Some((attribute.key, text))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
