//! A collector behind TLS, with a certificate of its own, for tests.

use std::{fs, path::PathBuf};

use opentelemetry_proto::tonic::collector::{
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

use super::{Collector, Signal};
use crate::TelemetryError;

/// The header that is shown to it, and what is to be seen nowhere else.
pub(crate) const KEY: (&str, &str) = ("x-key", "canary-4711");

/// What it got: of what, and the header's value.
pub(crate) type Got = (Signal, Option<String>);

pub(crate) struct Secured {
    pub(crate) endpoint: String,
    pub(crate) got: mpsc::UnboundedReceiver<Got>,
    directory: TempDir,
    serving: JoinHandle<()>,
}

impl Secured {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([address.ip().to_string()]).expect("an address can be certified");
        let directory = tempfile::tempdir().expect("there is room");
        fs::write(directory.path().join("authority.pem"), cert.pem()).expect("there is room");
        let identity = Identity::from_pem(cert.pem(), signing_key.serialize_pem());
        let (tell, got) = mpsc::unbounded_channel();
        let clerk = Clerk(tell);
        let server = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .expect("the certificate is one")
            .add_service(TraceServiceServer::new(clerk.clone()))
            .add_service(MetricsServiceServer::new(clerk));
        let serving = tokio::spawn(async move {
            server.serve_with_incoming(TcpIncoming::from(listener)).await.expect("it serves");
        });
        Self { endpoint: format!("https://{address}"), got, directory, serving }
    }

    /// The file of the authority that vouches for it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// The way to it for whoever knows of its authority, and for whoever does not.
    pub(crate) fn way(&self, of: Signal, knows: bool) -> Result<Option<Collector>, TelemetryError> {
        let authority = self.authority().display().to_string();
        Collector::read(of, &|name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(self.endpoint.clone()),
            "OTEL_EXPORTER_OTLP_CERTIFICATE" => Some(authority.clone()).filter(|_| knows),
            "OTEL_EXPORTER_OTLP_TIMEOUT" => Some("60000".to_owned()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some(format!("{}={}", KEY.0, KEY.1)),
            _ => None,
        })
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Clerk(mpsc::UnboundedSender<Got>);

impl Clerk {
    fn take(&self, of: Signal, headers: &MetadataMap) {
        let shown = headers.get(KEY.0).map(|value| value.to_str().expect("text").to_owned());
        self.0.send((of, shown)).expect("somebody looks");
    }
}

#[tonic::async_trait]
impl TraceService for Clerk {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(Signal::Traces, request.metadata());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Clerk {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take(Signal::Metrics, request.metadata());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
