//! A collector in a process of its own that takes every span and keeps none: what tracing costs, without what it is for.

use std::{net::Ipv4Addr, time::Duration};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};
use tonic::{Request, Response, Status};

struct Sink;

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        _: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Serves until it is killed.
pub(crate) async fn serve(port: u16) {
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Sink));
    server.serve((Ipv4Addr::LOCALHOST, port).into()).await.expect("the port is free");
}

/// A running collector.
pub(crate) struct Collector {
    _process: Child,
    pub(crate) endpoint: String,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = socket.local_addr().expect("a bound socket").port();
        drop(socket);
        let this = std::env::current_exe().expect("this executable");
        let process = Command::new(this)
            .args(["serve-collector", &port.to_string()])
            .kill_on_drop(true)
            .spawn()
            .expect("this executable starts again");
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { _process: process, endpoint: format!("http://127.0.0.1:{port}") }
    }
}
