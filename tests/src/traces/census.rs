//! A collector of its own, which keeps of each span only what a judgement needs: there are hundreds of thousands.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What a judgement needs of a span.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Of its trace.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The id of the span above it; none for a root.
    pub parent: Option<[u8; 8]>,
    /// Of the service that sent it.
    pub service: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The invocation that it says it is of.
    pub invocation: Option<Arc<str>>,
    /// By which error it came to nothing.
    pub error: Option<Arc<str>>,
    /// An acceptance that found its invocation there already.
    pub found: bool,
}

/// Counts every span that comes over OTLP gRPC.
#[derive(Debug)]
pub struct Census {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Book {
    spans: Vec<Counted>,
    names: HashSet<Arc<str>>,
}

impl Census {
    /// Listens on a free port.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let book = Arc::<Mutex<Book>>::default();
        let service = TraceServiceServer::new(Desk { book: Arc::clone(&book) }).max_decoding_message_size(64 << 20);
        let server = tonic::transport::Server::builder().add_service(service);
        let serving = tokio::spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("the collector serves");
        });
        Self { address, book, serving }
    }

    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many have come so far.
    ///
    /// # Panics
    /// Never: nobody panics while counting.
    pub fn count(&self) -> usize {
        self.book.lock().expect("nobody panics while counting").spans.len()
    }

    /// All that have come; the census begins anew.
    ///
    /// # Panics
    /// Never: nobody panics while counting.
    pub fn take(&self) -> Vec<Counted> {
        std::mem::take(&mut self.book.lock().expect("nobody panics while counting").spans)
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Desk {
    book: Arc<Mutex<Book>>,
}

#[tonic::async_trait]
impl TraceService for Desk {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut book = self.book.lock().expect("nobody panics while counting");
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = book.name(text(&attributes, "service.name").unwrap_or_default());
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                book.keep(&service, span);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Book {
    /// Names come again and again.
    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    fn keep(&mut self, service: &Arc<str>, span: Span) {
        let (Ok(trace), Ok(id)) = (span.trace_id.try_into(), span.span_id.try_into()) else { return };
        let said = |name| text(&span.attributes, name).map(str::to_owned);
        let (invocation, error) = (said("invocation_id"), said("error.type"));
        let found = said("holdfast.queue.created").is_some_and(|created| created == "false");
        let counted = Counted {
            trace,
            id,
            parent: span.parent_span_id.try_into().ok(),
            service: Arc::clone(service),
            name: self.name(&span.name),
            invocation: invocation.map(|invocation| self.name(&invocation)),
            error: error.map(|error| self.name(&error)),
            found,
        };
        self.spans.push(counted);
    }
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let attribute = attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}
