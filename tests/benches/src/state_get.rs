//! Reads of records that are in the cache, straight at the state service.

use holdfast_config::Peer;
use holdfast_proto::state::v1::{Address, GetRequest, PutRequest, Value, state_service_client::StateServiceClient};
use holdfast_testkit::Mesh;
use tonic::transport::Channel;

use crate::{
    Figures, bare_redis,
    echo::{Baseline, payload},
    figure,
    load::{Call, Load, channels, drive, median, pairs},
    stores::{Store, Stores},
};

const KEYS: usize = 1_000;

pub(crate) async fn bench() -> Figures {
    let mut figures = Figures::new();
    let stores = Stores::start().await;
    for store in [Store::Embedded, Store::RedisPostgres] {
        let mesh = stores.mesh(store).await;
        fill(&mesh).await;
        let baseline = Baseline::start().await;
        for callers in [1, 64] {
            let rounds = pairs(|| baseline.load(callers), || load(&mesh, callers)).await;
            let name = format!("{}_ratio_{callers}", store.name());
            figures.insert(name, figure(median(&rounds, |(echo, ours)| ours.rate / echo.rate)));
        }
        if store == Store::RedisPostgres {
            let url = stores.redis_url();
            let rounds = pairs(|| bare_redis::read(&url, 64, KEYS), || load(&mesh, 64)).await;
            let of_bare = median(&rounds, |(bare, ours)| ours.rate / bare.rate);
            figures.insert("redis_postgres_of_bare_redis_64".into(), figure(of_bare));
        }
        mesh.end().await;
    }
    figures
}

async fn fill(mesh: &Mesh) {
    let mut client = StateServiceClient::new(channels(&mesh.url(Peer::State), 1).await.remove(0));
    for key in 0..KEYS {
        let value = Some(Value { data: payload(), content_type: String::new() });
        let request = PutRequest { address: Some(address(key)), value, ..Default::default() };
        client.put(request).await.expect("nobody else writes these keys");
    }
}

fn address(key: usize) -> Address {
    Address { namespace: "bench".into(), partition: key.to_string(), key: "record".into() }
}

async fn load(mesh: &Mesh, callers: usize) -> Load {
    let channels = channels(&mesh.url(Peer::State), callers).await.into_iter().enumerate();
    let callers = channels.map(|(next, channel)| Caller { client: StateServiceClient::new(channel), next });
    drive(callers.collect()).await
}

struct Caller {
    client: StateServiceClient<Channel>,
    next: usize,
}

impl Call for Caller {
    async fn call(&mut self) {
        let request = GetRequest { address: Some(address(self.next % KEYS)), ..Default::default() };
        let answer = self.client.get(request).await.expect("it was written").into_inner();
        assert!(answer.record.is_some());
        self.next += 1;
    }
}
