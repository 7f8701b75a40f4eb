//! Through the authenticated gateway: submit → durable → lease → complete → answer to the waiting caller.

use holdfast_config::Peer;
use holdfast_proto::{
    gateway::v1::{RunInvocationRequest, invocation_service_client::InvocationServiceClient},
    queue::v1::{InvocationSpec, InvocationState, Payload},
};
use holdfast_testkit::{Mesh, Postgres};
use tokio::process::Command;
use tonic::transport::Channel;

use crate::{
    Figures,
    echo::{Baseline, payload},
    figure,
    load::{Call, Load, channels, drive, median, pairs},
    mesh, start,
};

/// Callers who ask when their work starts.
const STARTERS: usize = 64;

pub(crate) async fn bench() -> Figures {
    let mut figures = Figures::new();
    measure("embedded", None, &mut figures).await;
    let postgres = Postgres::start().await;
    measure("postgres", Some(&postgres), &mut figures).await;
    assert!(holds_invocations(&postgres).await, "the queue has kept nothing in PostgreSQL");
    figures
}

/// Whether the queue really worked on it.
async fn holds_invocations(postgres: &Postgres) -> bool {
    postgres.query("SELECT EXISTS (SELECT FROM holdfast_queue.invocations)").await == "t"
}

async fn measure(store: &str, postgres: Option<&Postgres>, figures: &mut Figures) {
    let mesh = mesh::start_on(postgres, &[Peer::State, Peer::Queue, Peer::Gateway]).await;
    let this = std::env::current_exe().expect("this executable");
    let _worker = Command::new(this)
        .args(["work", &mesh.url(Peer::Queue)])
        .kill_on_drop(true)
        .spawn()
        .expect("this executable starts again");
    let baseline = Baseline::start().await;
    let micros = |span: std::time::Duration| span.as_secs_f64() * 1e6;
    for callers in [1, 64, 256] {
        let rounds = pairs(|| baseline.load(callers), || load(&mesh, callers)).await;
        let mut add = |name: &str, value: f64| figures.insert(format!("{store}_{name}_{callers}"), figure(value));
        add("ratio", median(&rounds, |(echo, ours)| ours.rate / echo.rate));
        add("rate", median(&rounds, |(_, ours)| ours.rate));
        add("cpu_us_per_lifecycle", median(&rounds, |(_, ours)| micros(ours.cpu)));
        add("echo_cpu_us_per_call", median(&rounds, |(echo, _)| micros(echo.cpu)));
        if callers == 1 {
            add("rtts", median(&rounds, |(echo, ours)| ours.p50.as_secs_f64() / echo.p50.as_secs_f64()));
        }
    }
    let start = start::load(&mesh, STARTERS).await;
    figures.insert(format!("{store}_ack_to_start_us_p50"), figure(micros(start.p50)));
    figures.insert(format!("{store}_ack_to_start_us_p99"), figure(micros(start.p99)));
    mesh.end().await;
}

async fn load(mesh: &Mesh, callers: usize) -> Load {
    let channels = channels(&mesh.url(Peer::Gateway), callers).await;
    drive(channels.into_iter().map(|channel| Caller { client: InvocationServiceClient::new(channel) }).collect()).await
}

/// Work that is done at once.
pub(crate) fn spec() -> InvocationSpec {
    InvocationSpec {
        agent: "noop".into(),
        payload: Some(Payload { data: payload(), content_type: String::new() }),
        ..Default::default()
    }
}

struct Caller {
    client: InvocationServiceClient<Channel>,
}

impl Call for Caller {
    async fn call(&mut self) {
        let request = mesh::authorized(RunInvocationRequest { spec: Some(spec()) });
        let answer = self.client.run_invocation(request).await.expect("the gateway answers").into_inner();
        let state = answer.invocation.expect("an answer has its invocation").state();
        assert_eq!(state, InvocationState::Succeeded);
    }
}
