//! One state service with its own directory and port.

use std::{path::PathBuf, sync::Arc, time::Duration};

use holdfast_config::Common;
use holdfast_proto::state::v1::{self as pb, state_service_client::StateServiceClient};
use holdfast_rpc::{
    Channel,
    client::{for_tenant, with_lease},
    lease::{LeaseKey, LeaseToken},
    service::{Host, Stop},
    status,
    time::now_micros,
};
use holdfast_state::{
    Api, Config, Decider as _, Embedded, State,
    store::{Opened, sqlite},
};
use pb::state_service_server::StateServiceServer;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Response, Status, service::Routes};

use crate::gate::{Gate, Gated};

pub(crate) type Client = StateServiceClient<Channel>;

pub(crate) struct Harness {
    pub(crate) embedded: Embedded,
    pub(crate) config: Config,
    pub(crate) gate: Gate,
    pub(crate) client: Client,
    pub(crate) leases: LeaseKey,
    directory: Arc<tempfile::TempDir>,
    stop: Stop,
    server: JoinHandle<()>,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::on(Arc::new(tempfile::tempdir().expect("a directory of this test's own")), config).await
    }

    async fn on(directory: Arc<tempfile::TempDir>, config: Config) -> Self {
        let mut common = Common::default();
        common.data.dir = directory.path().to_path_buf();
        let host = Host::bind("state", "127.0.0.1:0", &common).await.expect("a free port");
        let (stop, leases, address) = (host.stop(), host.lease_key(), host.address());
        let gate = Gate::new();
        let opened = sqlite::open(directory.path(), now_micros()).expect("nobody else has it");
        let opened = Opened { journal: Box::new(Gated { journal: opened.journal, gate: gate.clone() }), ..opened };
        let embedded = Embedded::start(opened, &config).expect("a thread for the flusher");
        let state = State::over(Arc::new(embedded.clone()));
        let api = StateServiceServer::new(Api::new(state.clone(), config.clone(), stop.clone()));
        let routes = Routes::new(api.max_decoding_message_size(config.message_max.bytes()));
        let server = tokio::spawn(async move { host.serve(routes).await.expect("the listener holds") });
        let channel = Channel::connect("state", &format!("http://{address}"), None, None).expect("a URL");
        let client = StateServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        Self { embedded, config, gate, client, leases, directory, stop, server }
    }

    /// As SIGTERM does it, and started again.
    pub(crate) async fn restart(self) -> Self {
        let (directory, config) = self.shut().await;
        Self::on(directory, config).await
    }

    /// Drains and ends.
    pub(crate) async fn shut(self) -> (Arc<tempfile::TempDir>, Config) {
        let Self { embedded, config, directory, stop, server, client, .. } = self;
        drop(client);
        stop.cancel();
        server.await.expect("the server ends");
        embedded.close().await;
        (directory, config)
    }

    /// As kill -9 does it, and started again: what is not stored is gone.
    pub(crate) async fn crash(self) -> Self {
        let (directory, config) = self.kill().await;
        Self::on(directory, config).await
    }

    /// As kill -9 does it.
    pub(crate) async fn kill(self) -> (Arc<tempfile::TempDir>, Config) {
        self.gate.fill();
        let Self { embedded, config, gate, directory, stop, server, client, .. } = self;
        drop(client);
        stop.cancel();
        server.await.expect("the server ends");
        // Nothing is stored any more, and dropping the last handle ends the flusher as it is.
        drop((embedded, gate));
        (directory, config)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    pub(crate) async fn get(&self, key: &str) -> Result<pb::Record, Status> {
        let request = pb::GetRequest { address: Some(address(key)), ..Default::default() };
        let response = self.client.clone().get(for_tenant(Request::new(request), "acme")?).await?;
        Ok(response.into_inner().record.expect("a record"))
    }

    pub(crate) async fn put(&self, put: pb::PutRequest) -> Result<pb::PutResponse, Status> {
        self.client.clone().put(for_tenant(Request::new(put), "acme")?).await.map(Response::into_inner)
    }

    pub(crate) async fn delete(&self, delete: pb::DeleteRequest) -> Result<pb::DeleteResponse, Status> {
        self.client.clone().delete(for_tenant(Request::new(delete), "acme")?).await.map(Response::into_inner)
    }

    pub(crate) async fn batch(&self, batch: pb::BatchPutRequest) -> Result<pb::BatchPutResponse, Status> {
        self.client.clone().batch_put(for_tenant(Request::new(batch), "acme")?).await.map(Response::into_inner)
    }

    pub(crate) async fn list(&self, list: pb::ListRequest) -> Result<pb::ListResponse, Status> {
        self.client.clone().list(for_tenant(Request::new(list), "acme")?).await.map(Response::into_inner)
    }

    pub(crate) async fn put_under(&self, lease: &LeaseToken, put: pb::PutRequest) -> Result<pb::PutResponse, Status> {
        let request = with_lease(Request::new(put), &self.leases.sign(lease))?;
        self.client.clone().put(request).await.map(Response::into_inner)
    }

    pub(crate) async fn register(&self, lease: &LeaseToken) -> Result<u64, Status> {
        let request = with_lease(Request::new(pb::RegisterFenceRequest {}), &self.leases.sign(lease))?;
        Ok(self.client.clone().register_fence(request).await?.into_inner().fence)
    }

    pub(crate) async fn raise(&self, raise: pb::RaiseFenceRequest) -> Result<(), Status> {
        self.client.clone().raise_fence(raise).await.map(drop)
    }

    /// Makes a record, and returns its version.
    pub(crate) async fn make(&self, key: &str, data: &str) -> Vec<u8> {
        self.put(put(key, data, None)).await.expect("it is new").version.into()
    }
}

pub(crate) fn address(key: &str) -> pb::Address {
    pb::Address { namespace: "accounts".into(), partition: "C-1".into(), key: key.into() }
}

pub(crate) fn value(data: &str) -> pb::Value {
    pb::Value { data: data.to_owned().into(), content_type: "text/plain".into() }
}

pub(crate) fn version(version: &[u8]) -> Option<pb::Precondition> {
    let version = version.to_vec().into();
    Some(pb::Precondition { precondition: Some(pb::precondition::Precondition::Version(version)) })
}

pub(crate) fn overwrite() -> Option<pb::Precondition> {
    let overwrite = pb::precondition::Overwrite {};
    Some(pb::Precondition { precondition: Some(pb::precondition::Precondition::Overwrite(overwrite)) })
}

/// A write that makes the record, or follows from a version.
pub(crate) fn put(key: &str, data: &str, read: Option<&[u8]>) -> pb::PutRequest {
    pb::PutRequest {
        address: Some(address(key)),
        value: Some(value(data)),
        precondition: read.and_then(version),
        ..pb::PutRequest::default()
    }
}

pub(crate) fn cached(put: pb::PutRequest) -> pb::PutRequest {
    pb::PutRequest { durability: pb::Durability::Cached.into(), ..put }
}

pub(crate) fn with_id(put: pb::PutRequest, id: u128) -> pb::PutRequest {
    pb::PutRequest { write_id: uuid::Uuid::from_u128(id).to_string(), ..put }
}

pub(crate) fn lease(fence: u64, lease_id: &str) -> LeaseToken {
    LeaseToken {
        tenant: "acme".into(),
        session: "s-1".into(),
        invocation_id: "inv-1".into(),
        attempt: 1,
        lease_id: lease_id.into(),
        fence,
    }
}

pub(crate) fn data(record: &pb::Record) -> String {
    let value = record.value.as_ref().expect("a live record");
    String::from_utf8(value.data.to_vec()).expect("text")
}

pub(crate) fn conflict(status: &Status) -> pb::Conflict {
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    status::detail(status).expect("ABORTED shows the record as it is")
}

pub(crate) fn loss(status: &Status) -> pb::Loss {
    assert_eq!(status.code(), Code::DataLoss, "{status:?}");
    status::detail(status).expect("DATA_LOSS shows both versions")
}

pub(crate) fn assert_come_back(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status::retry_after(status).is_some_and(|wait| wait > Duration::ZERO), "{status:?}");
}
