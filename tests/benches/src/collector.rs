//! A collector in a process of its own that takes every span and keeps none: what tracing costs, without what it is for.

use std::net::Ipv4Addr;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
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
