use std::{net::SocketAddr, sync::Arc, time::Duration};

use holdfast_config::{Common, Peer, Secret};
use holdfast_proto::llm::v1::{
    GenerateRequest, GenerateResponse, GetCapacityRequest, GetCapacityResponse, ListModelsRequest, ListModelsResponse,
    Model, StreamGenerateRequest, StreamGenerateResponse, WatchCapacityRequest, WatchCapacityResponse,
    llm_service_client::LlmServiceClient,
    llm_service_server::{LlmService, LlmServiceServer},
};
use holdfast_rpc::{
    Caller, Channel, Error, deadline,
    server::Limits,
    service::{Host, Routes, ServeError, Stop},
};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// A stand-in whose answers tell what the stack handed to it.
struct StandIn;

#[tonic::async_trait]
impl LlmService for StandIn {
    async fn generate(&self, _: Request<GenerateRequest>) -> Result<Response<GenerateResponse>, Status> {
        panic!("canary");
    }

    type StreamGenerateStream = ReceiverStream<Result<StreamGenerateResponse, Status>>;

    /// Never says anything, and never ends by itself.
    async fn stream_generate(
        &self,
        _: Request<StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move { sender.closed().await });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    /// The milliseconds left, then the tenant.
    async fn list_models(&self, request: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        let left = deadline::remaining().unwrap_or_default().as_millis().to_string();
        let tenant = Caller::of(&request).tenant().unwrap_or("nobody").to_owned();
        let models = [left, tenant].map(|name| Model { name, ..Default::default() });
        Ok(Response::new(ListModelsResponse { models: models.into() }))
    }

    /// Refuses by the name, however long that is.
    async fn get_capacity(
        &self,
        request: Request<GetCapacityRequest>,
    ) -> Result<Response<GetCapacityResponse>, Status> {
        Err(Error::invalid(request.into_inner().model, "is none that a stand-in has").into())
    }

    type WatchCapacityStream = ReceiverStream<Result<WatchCapacityResponse, Status>>;

    /// Does not even begin to answer.
    async fn watch_capacity(
        &self,
        _: Request<WatchCapacityRequest>,
    ) -> Result<Response<Self::WatchCapacityStream>, Status> {
        std::future::pending().await
    }
}

#[derive(Default)]
pub struct Options {
    pub limits: Limits,
    pub credential: Option<&'static str>,
    pub address: Option<SocketAddr>,
}

pub struct Mesh {
    common: Arc<Common>,
    stop: Stop,
    served: JoinHandle<Result<(), ServeError>>,
    _data: tempfile::TempDir,
}

impl Mesh {
    pub async fn start(options: Options) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let address = options.address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
        let mut common = Common::default();
        common.data.dir = data.path().into();
        common.mesh.credential = options.credential.map(Secret::in_memory);
        let host = Host::bind("stand-in", &address, &common).await.expect("a free port");
        let host = host.with_limits(options.limits);
        common.mesh.llm_proxy = format!("http://{}", host.address());
        let stop = host.stop();
        let served = tokio::spawn(host.serve(Routes::new(LlmServiceServer::new(StandIn))));
        Self { common: Arc::new(common), stop, served, _data: data }
    }

    pub async fn bind_everywhere(common: &Common) -> Result<Host, ServeError> {
        Host::bind("stand-in", "0.0.0.0:0", common).await
    }

    pub fn address(&self) -> SocketAddr {
        self.common.mesh.llm_proxy.trim_start_matches("http://").parse().expect("an address")
    }

    pub fn url(&self) -> String {
        self.common.mesh.llm_proxy.clone()
    }

    pub fn client(&self) -> LlmServiceClient<Channel> {
        LlmServiceClient::new(Channel::to(&self.common, Peer::LlmProxy).expect("a URL"))
    }

    pub fn stranger(&self) -> LlmServiceClient<Channel> {
        LlmServiceClient::new(Channel::connect("stand-in", &self.common.mesh.llm_proxy, None, None).expect("a URL"))
    }

    /// Returns once a call is served: slots of ended streams come back when their connections notice.
    pub async fn until_served(&self) {
        while self.client().list_models(ListModelsRequest {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// A gRPC request by hand, with headers that no client would send.
    pub async fn raw(&self, path: &str, headers: &[(&'static str, &str)]) -> http::Response<hyper::body::Incoming> {
        self.raw_within(1 << 20, path, headers).await
    }

    /// The same from somebody who makes room for so many bytes of the answer, and for no more.
    pub async fn raw_within(
        &self,
        window: u32,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> http::Response<hyper::body::Incoming> {
        let address = self.common.mesh.llm_proxy.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .expect("it speaks HTTP/2");
        tokio::spawn(connection);
        let mut request = http::Request::post(format!("http://{address}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5]));
        sender.send_request(request.body(body).expect("valid parts")).await.expect("an answer")
    }

    /// Status and body of a plain HTTP/1.1 GET.
    pub async fn get(&self, path: &str) -> (u16, hyper::body::Incoming) {
        let address = self.common.mesh.llm_proxy.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .expect("it speaks HTTP/1.1");
        tokio::spawn(connection);
        let request = http::Request::get(path).header("host", address);
        let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).expect("valid parts");
        let answer = sender.send_request(request).await.expect("an answer");
        (answer.status().as_u16(), answer.into_body())
    }

    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.served).await;
        ended.expect("the drain is bounded").expect("no panic").expect("it ends well");
    }
}
