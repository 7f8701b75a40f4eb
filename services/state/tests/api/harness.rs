//! One state service with its own directory and port.

use std::{sync::Arc, time::Duration};

use holdfast_config::Common;
use holdfast_proto::state::v1::{self as pb, state_service_client::StateServiceClient};
use holdfast_rpc::{
    Channel,
    client::{for_tenant, with_lease},
    lease::{LeaseKey, LeaseToken},
    service::{Host, Routes, Stop},
    status,
    time::now_micros,
};
use holdfast_state::{
    Api, Config, Decider, Embedded, Postgres, State, embedded,
    store::{Opened, postgres, sqlite},
};
use pb::state_service_server::StateServiceServer;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Response, Status};

use crate::gate::{Gate, Gated};
pub(crate) use crate::home::Home;

pub(crate) type Client = StateServiceClient<Channel>;

pub(crate) struct Harness {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) gate: Gate,
    pub(crate) client: Client,
    pub(crate) leases: LeaseKey,
    place: Place,
    home: Home,
    stop: Stop,
    server: JoinHandle<()>,
}

/// What decides.
enum Place {
    Embedded(Embedded),
    Postgres(Arc<Postgres>),
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::on(Home::wanted().await, config).await
    }

    /// Over files, whatever is wanted: for what only this place does.
    pub(crate) async fn in_files() -> Self {
        Self::in_files_with(Config::default()).await
    }

    pub(crate) async fn in_files_with(config: Config) -> Self {
        Self::on(Home::files(), config).await
    }

    pub(crate) async fn on(home: Home, config: Config) -> Self {
        let mut common = Common::default();
        common.data.dir = home.path();
        let host = Host::bind("state", "127.0.0.1:0", &common).await.expect("a free port");
        let (stop, leases, address) = (host.stop(), host.lease_key(), host.address());
        let gate = Gate::new();
        let (place, decider) = decide(&home, &config, &gate).await;
        let state = State::over(decider);
        let api = StateServiceServer::new(Api::new(state.clone(), config.clone(), stop.clone()));
        let routes = Routes::new(api.max_decoding_message_size(config.message_max.bytes()));
        let server = tokio::spawn(async move { host.serve(routes).await.expect("the listener holds") });
        let channel = Channel::connect("state", &format!("http://{address}"), None, None).expect("a URL");
        let client = StateServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        Self { config, state, gate, client, leases, place, home, stop, server }
    }

    /// As SIGTERM does it, and started again.
    pub(crate) async fn restart(self) -> Self {
        let (home, config) = self.shut().await;
        Self::on(home, config).await
    }

    /// Drains and ends.
    pub(crate) async fn shut(self) -> (Home, Config) {
        let Self { place, config, home, state, stop, server, client, .. } = self;
        drop((client, state));
        stop.cancel();
        server.await.expect("the server ends");
        match place {
            Place::Embedded(embedded) => embedded.close().await,
            Place::Postgres(postgres) => postgres.close().await,
        }
        (home, config)
    }

    /// As kill -9 does it, and started again: what is not stored is gone.
    pub(crate) async fn crash(self) -> Self {
        let (home, config) = self.kill().await;
        Self::on(home, config).await
    }

    /// As kill -9 does it.
    pub(crate) async fn kill(self) -> (Home, Config) {
        self.gate.fill();
        let Self { place, config, gate, home, state, stop, server, client, .. } = self;
        drop((client, state));
        stop.cancel();
        server.await.expect("the server ends");
        // Nothing is stored any more, and dropping the last handle ends the flusher as it is.
        drop((place, gate));
        (home, config)
    }

    /// The place in memory.
    pub(crate) fn embedded(&self) -> &Embedded {
        let Place::Embedded(embedded) = &self.place else { panic!("this test is about files") };
        embedded
    }

    /// The place in the database.
    pub(crate) fn postgres(&self) -> &Postgres {
        let Place::Postgres(postgres) = &self.place else { panic!("this test is about a database") };
        postgres
    }

    /// The faults that are planted in it.
    pub(crate) fn faults(&self) -> &holdfast_state::faults::FaultPlan {
        match &self.place {
            Place::Embedded(embedded) => embedded.faults(),
            Place::Postgres(postgres) => postgres.faults(),
        }
    }

    /// Does what is done of its own accord, as if it were so many microseconds later.
    pub(crate) async fn upkeep_later(&self, micros: i64) {
        match &self.place {
            Place::Embedded(embedded) => embedded::upkeep::once(embedded, &self.config, now_micros() + micros).await,
            Place::Postgres(place) => {
                let horizon = |age: Duration| now_micros() + micros - age.as_micros() as i64;
                let (keep, store) = (&self.config.keep, place.store());
                use postgres::upkeep::{fold_epochs, forget_fences, forget_tombstones};
                while let postgres::upkeep::Piece::More(_) =
                    forget_tombstones(store, horizon(*keep.tombstones), Duration::ZERO).await.unwrap()
                {}
                forget_fences(store, horizon(*keep.fences), Duration::ZERO).await.unwrap();
                fold_epochs(store, horizon(*keep.lost_epochs)).await.unwrap();
            }
        }
    }

    /// Sweeps all of the history; how much went.
    pub(crate) async fn sweep(&self) -> usize {
        let place = match &self.place {
            Place::Embedded(embedded) => {
                let sweep = embedded::upkeep::Sweep::new(embedded, &self.config.keep);
                return sweep.round(now_micros(), Duration::ZERO).await;
            }
            Place::Postgres(place) => place,
        };
        let (keep, mut removed) = (&self.config.keep, 0);
        let horizon = now_micros() - keep.history.as_micros() as i64;
        loop {
            use postgres::upkeep::{Piece, sweep_history};
            match sweep_history(place.store(), keep.editions, horizon, 1_000).await.unwrap() {
                Piece::More(more) => removed += more,
                Piece::Done(last) => return removed + last,
                Piece::NotNow => panic!("nobody else is at it"),
            }
        }
    }

    /// A number out of the store.
    pub(crate) async fn ask(&self, sql: &str) -> i64 {
        self.home.ask(sql).await
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

async fn decide(home: &Home, config: &Config, gate: &Gate) -> (Place, Arc<dyn Decider>) {
    match home {
        Home::Files(directory) => {
            let opened = sqlite::open(directory.path(), now_micros()).expect("nobody else has it");
            let opened = Opened { journal: Box::new(Gated { journal: opened.journal, gate: gate.clone() }), ..opened };
            let embedded = Embedded::start(opened, config).expect("a thread for the flusher");
            (Place::Embedded(embedded.clone()), Arc::new(embedded))
        }
        Home::Database(database) => {
            let place = Arc::new(Postgres::join(&database.url, config).await.expect("the database is there"));
            (Place::Postgres(Arc::clone(&place)), place)
        }
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
        agent: "desk".into(),
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
