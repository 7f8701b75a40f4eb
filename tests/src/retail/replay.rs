//! All cases through a whole mesh, 16 at a time: undisturbed, or while its services are killed in turn.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use holdfast_config::Peer;
use holdfast_proto::queue::v1::{Invocation, InvocationState};
use holdfast_sdk::{Client, invocation};
use holdfast_testkit::Mesh;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::cases::tools;
use super::{Case, Ledger, Records, Server, check, setup};

const AT_ONCE: usize = 16;
const A_CASE: Duration = Duration::from_secs(240);

/// What happens to the mesh meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Disturbance {
    /// How often all cases are done.
    rounds: u32,
    /// How long the model thinks: time in which something can happen.
    model_latency: Duration,
    /// How often a service is killed.
    kill_every: Option<Duration>,
}

impl Disturbance {
    /// Nothing happens.
    pub const NONE: Self = Self { rounds: 1, model_latency: Duration::ZERO, kill_every: None };

    /// Gateway, queue, state, proxies and agent are killed in turn, every two seconds.
    pub const fn kills(rounds: u32) -> Self {
        let kill_every = Some(Duration::from_secs(2));
        Self { rounds, model_latency: Duration::from_millis(400), kill_every }
    }
}

/// What was done and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases done.
    pub cases: usize,
    /// Services killed, in order.
    pub kills: Vec<&'static str>,
    /// Repeated calls that the tool server answered from its record.
    pub repeats: u64,
    /// What differs from the recorded cases; empty is right.
    pub wrong: Vec<String>,
}

/// Replays all cases; None where the material is not there.
///
/// # Panics
/// Where the mesh does not start.
pub async fn replay(disturbance: Disturbance) -> Option<Report> {
    let (cases, records, tools) = (Arc::new(Case::load_all()?), Arc::new(Records::load()?), tools()?);
    let server = Server::bind().await;
    let config = setup::config(&tools, &server, disturbance.model_latency);
    let mut mesh = Mesh::builder().config(config).start().await;
    let ledger = Ledger::new(mesh.state());
    server.serve(ledger.clone());
    ledger.load(records.iter()).await.expect("the base records can be written");
    mesh.http(Peer::Simulator, "PUT", "/admin/scripts", &setup::scripts(&cases).to_string()).await;

    let client = Client::connect(&mesh.url(Peer::Gateway), "").expect("the mesh's URL is one").timeout(A_CASE);
    let work = (0..disturbance.rounds).flat_map(|round| (0..cases.len()).map(move |case| (round, case)));
    let mut done = futures::stream::iter(work.map(|(round, case)| {
        let (client, ledger, cases, records) =
            (client.clone(), ledger.clone(), Arc::clone(&cases), Arc::clone(&records));
        async move { one_case(&client, &ledger, &cases[case], round, &records).await }
    }))
    .buffer_unordered(AT_ONCE);

    let mut report = Report::default();
    let mut kills = Kills::new(disturbance.kill_every);
    loop {
        tokio::select! {
            found = done.next() => match found {
                Some(wrong) => {
                    report.cases += 1;
                    report.wrong.extend(wrong);
                }
                None => break,
            },
            peer = kills.next() => {
                mesh.kill(peer).await;
                mesh.restart(peer).await;
                report.kills.push(peer.name());
            }
        }
    }
    report.repeats = server.repeats();
    Some(report)
}

/// The services in turn, one at each tick.
struct Kills {
    ticks: Option<tokio::time::Interval>,
    turn: usize,
}

impl Kills {
    const VICTIMS: [Peer; 6] = [Peer::Gateway, Peer::Queue, Peer::State, Peer::ToolProxy, Peer::LlmProxy, Peer::Agent];

    fn new(every: Option<Duration>) -> Self {
        let ticks = every.map(|every| {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
            ticks
        });
        Self { ticks, turn: 0 }
    }

    /// Dropped and asked again between ticks, it loses nothing.
    async fn next(&mut self) -> Peer {
        let Some(ticks) = &mut self.ticks else { return std::future::pending().await };
        ticks.tick().await;
        self.turn += 1;
        Self::VICTIMS[(self.turn - 1) % Self::VICTIMS.len()]
    }
}

/// Does a case and gives what differs.
async fn one_case(client: &Client, ledger: &Ledger, case: &Case, round: u32, records: &Records) -> Vec<String> {
    let name = setup::name(case, round);
    let input = json!({"customer": case.instruction, "case": format!("script:case-{}", case.id)});
    let mut spec = invocation("retail", &input).expect("text has a JSON form");
    spec.session.clone_from(&name);
    spec.idempotency_key.clone_from(&name);
    let wrong = match client.run(spec).await {
        Ok(ended) if ended.state() == InvocationState::Succeeded => {
            check::everything(client, ledger, case, &name, &ended, records).await
        }
        Ok(ended) => vec![format!("ended as {:?}: {:?}", ended.state(), failure(&ended))],
        Err(error) => vec![format!("did not run: {error}")],
    };
    wrong.into_iter().map(|what| format!("{name}: {what}")).collect()
}

fn failure(ended: &Invocation) -> String {
    ended.failure.as_ref().map(|failure| format!("{} {}", failure.reason, failure.message)).unwrap_or_default()
}
