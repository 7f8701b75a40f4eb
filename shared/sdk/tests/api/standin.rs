//! A mesh in memory, at one address as behind a gateway: enough of each service for the SDK's promises, and switches to
//! break it.

pub mod gateway;
pub mod models;
pub mod queue;
pub mod state;
pub mod tools;

use std::{net::SocketAddr, sync::Arc};

use holdfast_proto::{
    gateway::v1::invocation_service_server::InvocationServiceServer,
    queue::v1::queue_service_server::QueueServiceServer, state::v1::state_service_server::StateServiceServer,
    tool::v1::tool_service_server::ToolServiceServer,
};
use holdfast_rpc::lease::LeaseKey;
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

pub use queue::Submission;

pub struct Mesh {
    pub queue: Arc<queue::Queue>,
    pub state: Arc<state::State>,
    pub tools: Arc<tools::Tools>,
    pub gateway: Arc<gateway::Gateway>,
    address: SocketAddr,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Mesh {
    pub async fn start() -> Self {
        let key = LeaseKey::new(b"stand-in");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mesh = Self {
            queue: Arc::new(queue::Queue::new(key.clone())),
            state: Arc::new(state::State::new(key)),
            tools: Arc::default(),
            gateway: Arc::default(),
            address: listener.local_addr().expect("bound"),
            server: Mutex::new(None),
        };
        mesh.serve(listener).await;
        mesh
    }

    /// Another process of the same mesh: other address, same queue and state.
    pub async fn beside(&self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mesh = Self {
            queue: self.queue.clone(),
            state: self.state.clone(),
            tools: self.tools.clone(),
            gateway: Arc::default(),
            address: listener.local_addr().expect("bound"),
            server: Mutex::new(None),
        };
        mesh.serve(listener).await;
        mesh
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Goes away: every connection breaks, as when the process is killed. What was durable stays.
    pub async fn kill(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.abort();
            let _ = server.await;
        }
        self.queue.forget_streams();
    }

    pub async fn come_back(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is still ours");
        self.serve(listener).await;
    }

    async fn serve(&self, listener: TcpListener) {
        let router = Server::builder()
            .add_service(QueueServiceServer::new(queue::Service(self.queue.clone())))
            .add_service(StateServiceServer::from_arc(self.state.clone()))
            .add_service(ToolServiceServer::from_arc(self.tools.clone()))
            .add_service(InvocationServiceServer::from_arc(self.gateway.clone()));
        let serving = router.serve_with_incoming(TcpListenerStream::new(listener));
        *self.server.lock().await = Some(tokio::spawn(async move { serving.await.expect("it serves") }));
    }
}
