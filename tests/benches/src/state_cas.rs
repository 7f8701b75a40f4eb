//! Durable compare-and-sets over a thousand keys, straight at the state service.

use bytes::Bytes;
use holdfast_config::Peer;
use holdfast_proto::state::v1::{
    Address, Precondition, PutRequest, Value, precondition, state_service_client::StateServiceClient,
};
use holdfast_testkit::Mesh;
use tonic::transport::Channel;

use crate::{
    Figures,
    echo::{Baseline, payload},
    figure,
    load::{Call, Load, channels, drive, median, pairs},
    mesh,
};

const KEYS: usize = 1_000;

pub(crate) async fn bench() -> Figures {
    let mesh = mesh::start(&[Peer::State]).await;
    let baseline = Baseline::start().await;
    let mut figures = Figures::new();
    for callers in [1, 64] {
        let rounds = pairs(|| baseline.load(callers), || load(&mesh, callers)).await;
        figures
            .insert(format!("embedded_ratio_{callers}"), figure(median(&rounds, |(echo, ours)| ours.rate / echo.rate)));
        if callers == 1 {
            let rtts = median(&rounds, |(echo, ours)| ours.p50.as_secs_f64() / echo.p50.as_secs_f64());
            figures.insert("embedded_rtts_1".into(), figure(rtts));
        }
    }
    figures
}

/// Each caller has its share of the keys, and remembers the version that it wrote last. Every load writes keys of its own,
/// so that none must be read first.
async fn load(mesh: &Mesh, callers: usize) -> Load {
    let run = uuid::Uuid::now_v7();
    let channels = channels(&mesh.url(Peer::State), callers).await.into_iter().enumerate();
    let callers = channels.map(|(caller, channel)| Caller {
        client: StateServiceClient::new(channel),
        records: (caller..KEYS).step_by(callers).map(|key| (format!("{run}-{key}"), None)).collect(),
        next: 0,
    });
    drive(callers.collect()).await
}

struct Caller {
    client: StateServiceClient<Channel>,
    records: Vec<(String, Option<Bytes>)>,
    next: usize,
}

impl Call for Caller {
    async fn call(&mut self) {
        let (key, version) = &mut self.records[self.next];
        let precondition = version
            .clone()
            .map(|version| Precondition { precondition: Some(precondition::Precondition::Version(version)) });
        let request = PutRequest {
            address: Some(Address { namespace: "bench".into(), partition: key.clone(), key: "record".into() }),
            value: Some(Value { data: payload(), content_type: String::new() }),
            precondition,
            ..Default::default()
        };
        let answer = self.client.put(request).await.expect("nobody else writes these keys");
        *version = Some(answer.into_inner().version);
        self.next = (self.next + 1) % self.records.len();
    }
}
