//! Through the authenticated gateway: submit → durable → lease → complete → answer to the waiting caller.

use holdfast_config::Peer;
use holdfast_proto::{
    gateway::v1::{RunInvocationRequest, invocation_service_client::InvocationServiceClient},
    queue::v1::{InvocationSpec, InvocationState, Payload},
};
use holdfast_testkit::Mesh;
use tokio::process::Command;
use tonic::transport::Channel;

use crate::{
    Figures,
    echo::{Baseline, payload},
    figure,
    load::{Call, Load, channels, drive, median, pairs},
    mesh,
};

pub(crate) async fn bench() -> Figures {
    let mesh = mesh::start(&[Peer::State, Peer::Queue, Peer::Gateway]).await;
    let this = std::env::current_exe().expect("this executable");
    let _worker = Command::new(this)
        .args(["work", &mesh.url(Peer::Queue)])
        .kill_on_drop(true)
        .spawn()
        .expect("this executable starts again");
    let baseline = Baseline::start().await;
    let mut figures = Figures::new();
    for callers in [1, 64, 256] {
        let rounds = pairs(|| baseline.load(callers), || load(&mesh, callers)).await;
        figures
            .insert(format!("embedded_ratio_{callers}"), figure(median(&rounds, |(echo, ours)| ours.rate / echo.rate)));
        if callers == 1 {
            let rtts = median(&rounds, |(echo, ours)| ours.p50.as_secs_f64() / echo.p50.as_secs_f64());
            figures.insert("embedded_rtts_1".into(), figure(rtts));
        }
        figures.insert(format!("embedded_rate_{callers}"), figure(median(&rounds, |(_, ours)| ours.rate)));
    }
    figures
}

async fn load(mesh: &Mesh, callers: usize) -> Load {
    let channels = channels(&mesh.url(Peer::Gateway), callers).await;
    drive(channels.into_iter().map(|channel| Caller { client: InvocationServiceClient::new(channel) }).collect()).await
}

struct Caller {
    client: InvocationServiceClient<Channel>,
}

impl Call for Caller {
    async fn call(&mut self) {
        let spec = InvocationSpec {
            agent: "noop".into(),
            payload: Some(Payload { data: payload(), content_type: String::new() }),
            ..Default::default()
        };
        let request = mesh::authorized(RunInvocationRequest { spec: Some(spec) });
        let answer = self.client.run_invocation(request).await.expect("the gateway answers").into_inner();
        let state = answer.invocation.expect("an answer has its invocation").state();
        assert_eq!(state, InvocationState::Succeeded);
    }
}
