use std::net::SocketAddr;

use holdfast_proto::llm::v1::{
    self as pb,
    llm_service_server::{LlmService, LlmServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::{Empty, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

/// A model that reads ten tokens and writes five, whatever it is asked.
pub struct Models;

impl Models {
    /// Where it answers from now on.
    pub async fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let router = Server::builder().add_service(LlmServiceServer::new(Self));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }
}

#[tonic::async_trait]
impl LlmService for Models {
    type StreamGenerateStream = Empty<Result<pb::StreamGenerateResponse, Status>>;
    type WatchCapacityStream = Empty<Result<pb::WatchCapacityResponse, Status>>;

    async fn generate(&self, _: Request<pb::GenerateRequest>) -> Result<Response<pb::GenerateResponse>, Status> {
        let usage = Some(pb::TokenUsage { input_tokens: 10, output_tokens: 5 });
        Ok(Response::new(pb::GenerateResponse { usage, ..Default::default() }))
    }

    async fn stream_generate(
        &self,
        _: Request<pb::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        Err(unused())
    }

    async fn list_models(&self, _: Request<pb::ListModelsRequest>) -> Result<Response<pb::ListModelsResponse>, Status> {
        Err(unused())
    }

    async fn get_capacity(
        &self,
        _: Request<pb::GetCapacityRequest>,
    ) -> Result<Response<pb::GetCapacityResponse>, Status> {
        Err(unused())
    }

    async fn watch_capacity(
        &self,
        _: Request<pb::WatchCapacityRequest>,
    ) -> Result<Response<Self::WatchCapacityStream>, Status> {
        Err(unused())
    }
}

fn unused() -> Status {
    Status::unimplemented("not part of the stand-in")
}
