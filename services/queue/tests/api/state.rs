//! A state service that knows one thing: which fences were raised.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use holdfast_proto::state::v1 as pb;
use pb::state_service_server::{StateService, StateServiceServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

pub(crate) struct FakeState {
    pub(crate) address: SocketAddr,
    pub(crate) raised: mpsc::UnboundedReceiver<pb::RaiseFenceRequest>,
    refused: mpsc::UnboundedReceiver<()>,
    away: Arc<AtomicBool>,
    refuses: Arc<Mutex<Option<String>>>,
    server: tokio::task::JoinHandle<()>,
}

struct Raises {
    raised: mpsc::UnboundedSender<pb::RaiseFenceRequest>,
    refused: mpsc::UnboundedSender<()>,
    away: Arc<AtomicBool>,
    refuses: Arc<Mutex<Option<String>>>,
}

impl FakeState {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, raised) = mpsc::unbounded_channel();
        let (tell_refused, refused) = mpsc::unbounded_channel();
        let away = Arc::new(AtomicBool::new(false));
        let refuses = Arc::new(Mutex::new(None));
        let service = StateServiceServer::new(Raises {
            raised: tell,
            refused: tell_refused,
            away: Arc::clone(&away),
            refuses: Arc::clone(&refuses),
        });
        let server = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self { address, raised, refused, away, refuses, server }
    }

    /// Refuses whatever is of this tenant.
    pub(crate) fn refuse_tenant(&self, tenant: &str) {
        *self.refuses.lock().unwrap() = Some(tenant.to_owned());
    }

    /// Refuses everything, or nothing.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Waits until it has refused something.
    pub(crate) async fn refused(&mut self) {
        tokio::time::timeout(crate::harness::PATIENCE, self.refused.recv()).await.expect("it is asked").unwrap();
    }

    pub(crate) async fn next(&mut self) -> pb::RaiseFenceRequest {
        tokio::time::timeout(crate::harness::PATIENCE, self.raised.recv()).await.expect("a fence is raised").unwrap()
    }
}

impl Drop for FakeState {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn no<T>() -> Answer<T> {
    Err(Status::unimplemented("not in this test"))
}

#[tonic::async_trait]
impl StateService for Raises {
    async fn get(&self, _: Request<pb::GetRequest>) -> Answer<pb::GetResponse> {
        no()
    }
    async fn batch_get(&self, _: Request<pb::BatchGetRequest>) -> Answer<pb::BatchGetResponse> {
        no()
    }
    async fn put(&self, _: Request<pb::PutRequest>) -> Answer<pb::PutResponse> {
        no()
    }
    async fn batch_put(&self, _: Request<pb::BatchPutRequest>) -> Answer<pb::BatchPutResponse> {
        no()
    }
    async fn delete(&self, _: Request<pb::DeleteRequest>) -> Answer<pb::DeleteResponse> {
        no()
    }
    async fn list(&self, _: Request<pb::ListRequest>) -> Answer<pb::ListResponse> {
        no()
    }
    async fn history(&self, _: Request<pb::HistoryRequest>) -> Answer<pb::HistoryResponse> {
        no()
    }
    async fn sync(&self, _: Request<pb::SyncRequest>) -> Answer<pb::SyncResponse> {
        no()
    }
    async fn acquire_lock(&self, _: Request<pb::AcquireLockRequest>) -> Answer<pb::AcquireLockResponse> {
        no()
    }
    async fn renew_lock(&self, _: Request<pb::RenewLockRequest>) -> Answer<pb::RenewLockResponse> {
        no()
    }
    async fn release_lock(&self, _: Request<pb::ReleaseLockRequest>) -> Answer<pb::ReleaseLockResponse> {
        no()
    }
    async fn list_locks(&self, _: Request<pb::ListLocksRequest>) -> Answer<pb::ListLocksResponse> {
        no()
    }
    type WatchStream = futures::stream::Pending<Result<pb::WatchResponse, Status>>;
    async fn watch(&self, _: Request<pb::WatchRequest>) -> Answer<Self::WatchStream> {
        no()
    }
    async fn register_fence(&self, _: Request<pb::RegisterFenceRequest>) -> Answer<pb::RegisterFenceResponse> {
        no()
    }
    async fn raise_fence(&self, request: Request<pb::RaiseFenceRequest>) -> Answer<pb::RaiseFenceResponse> {
        if self.away.load(Ordering::SeqCst) {
            self.refused.send(()).unwrap();
            return Err(Status::unavailable("away"));
        }
        if self.refuses.lock().unwrap().as_ref() == Some(&request.get_ref().tenant) {
            self.refused.send(()).unwrap();
            return Err(Status::internal("this tenant's shard is broken"));
        }
        self.raised.send(request.into_inner()).unwrap();
        Ok(Response::new(pb::RaiseFenceResponse {}))
    }
}
