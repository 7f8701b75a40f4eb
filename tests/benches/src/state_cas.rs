//! Compare-and-sets over a thousand keys, and on one, straight at the state service: DURABLE ones, and CACHED ones where
//! they make a difference.

use bytes::Bytes;
use holdfast_config::Peer;
use holdfast_proto::state::v1::{
    Address, Conflict, Durability, Precondition, PutRequest, Value, precondition,
    state_service_client::StateServiceClient,
};
use holdfast_rpc::status;
use holdfast_testkit::Mesh;
use tonic::transport::Channel;

use crate::{
    Figures, bare_redis,
    echo::{Baseline, payload},
    figure,
    load::{Call, Load, channels, drive, median, pairs},
    stores::{Store, Stores},
};

/// Keys that all callers share out among themselves.
const KEYS: usize = 1_000;

pub(crate) async fn bench() -> Figures {
    let mut figures = Figures::new();
    let stores = Stores::start().await;
    for store in [Store::Embedded, Store::Postgres, Store::RedisPostgres] {
        let mesh = stores.mesh(store).await;
        let baseline = Baseline::start().await;
        let name = store.name();
        for callers in [1, 64] {
            let rounds = pairs(|| baseline.load(callers), || load(&mesh, callers, Durability::Durable)).await;
            add(&mut figures, &format!("{name}_ratio_{callers}"), &rounds);
            if callers == 1 {
                let rtts = median(&rounds, |(echo, ours)| ours.p50.as_secs_f64() / echo.p50.as_secs_f64());
                figures.insert(format!("{name}_rtts_1"), figure(rtts));
            }
        }
        if store != Store::Postgres {
            let rounds = pairs(|| baseline.load(64), || load(&mesh, 64, Durability::Cached)).await;
            add(&mut figures, &format!("cached_{name}_ratio_64"), &rounds);
        }
        if store == Store::RedisPostgres {
            let url = stores.redis_url();
            let rounds =
                pairs(|| bare_redis::compare_and_set(&url, 64, KEYS), || load(&mesh, 64, Durability::Cached)).await;
            figures.insert(
                "cached_redis_postgres_of_bare_redis_64".into(),
                figure(median(&rounds, |(bare, ours)| ours.rate / bare.rate)),
            );
            figures.insert("bare_redis_rate_64".into(), figure(median(&rounds, |(bare, _)| bare.rate)));
        }
        let rounds = pairs(|| baseline.load(64), || hot(&mesh)).await;
        add(&mut figures, &format!("hot_{name}_ratio_64"), &rounds);
        mesh.end().await;
    }
    figures
}

fn add(figures: &mut Figures, name: &str, rounds: &[(Load, Load)]) {
    figures.insert(name.to_owned(), figure(median(rounds, |(echo, ours)| ours.rate / echo.rate)));
    figures.insert(format!("{name}_rate"), figure(median(rounds, |(_, ours)| ours.rate)));
}

/// Each caller has its share of the keys, and remembers the version that it wrote last. Every load writes keys of its own,
/// so that none must be read first.
async fn load(mesh: &Mesh, callers: usize, durability: Durability) -> Load {
    let run = uuid::Uuid::now_v7();
    let channels = channels(&mesh.url(Peer::State), callers).await.into_iter().enumerate();
    let callers = channels.map(|(caller, channel)| Caller {
        client: StateServiceClient::new(channel),
        durability,
        records: (caller..KEYS).step_by(callers).map(|key| (format!("{run}-{key}"), None)).collect(),
        next: 0,
    });
    drive(callers.collect()).await
}

/// All callers write one key: each write follows from the newest version that its caller was told, also by a conflict.
async fn hot(mesh: &Mesh) -> Load {
    let run = uuid::Uuid::now_v7();
    let channels = channels(&mesh.url(Peer::State), 64).await.into_iter();
    let callers = channels.map(|channel| Caller {
        client: StateServiceClient::new(channel),
        durability: Durability::Durable,
        records: vec![(run.to_string(), None)],
        next: 0,
    });
    drive(callers.collect()).await
}

struct Caller {
    client: StateServiceClient<Channel>,
    durability: Durability,
    records: Vec<(String, Option<Bytes>)>,
    next: usize,
}

impl Call for Caller {
    async fn call(&mut self) {
        let (key, version) = &mut self.records[self.next];
        loop {
            let precondition = version
                .clone()
                .map(|version| Precondition { precondition: Some(precondition::Precondition::Version(version)) });
            let request = PutRequest {
                address: Some(Address { namespace: "bench".into(), partition: key.clone(), key: "record".into() }),
                value: Some(Value { data: payload(), content_type: String::new() }),
                precondition,
                durability: self.durability.into(),
                ..Default::default()
            };
            match self.client.put(request).await {
                Ok(answer) => {
                    *version = Some(answer.into_inner().version);
                    break;
                }
                Err(refusal) => {
                    let conflict: Conflict = status::detail(&refusal).expect("only others' writes come in between");
                    *version = conflict.current.map(|current| current.version);
                }
            }
        }
        self.next = (self.next + 1) % self.records.len();
    }
}
