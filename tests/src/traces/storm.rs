//! Invocations under retries and kills, every trace of them recorded.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::RunInvocationRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::{
    FailRequest, Failure, Invocation, InvocationSpec, InvocationState, LeaseRequest, Payload,
};
use holdfast_testkit::{Mesh, Signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Request;
use tonic::transport::Channel;

use super::census::Census;
use super::judge::{Deed, Known, Verdict, judge};
use crate::load::{Findings, Size, telling};

/// The built-in demonstration: three tools, a model, and state in each of its attempts.
const DEMONSTRATION: &str = include_str!("../../../services/holdfast/src/demo.toml");
pub(super) const DISPUTE: &str = r#"{"customer_id":"C-1001","message":"I did not make this payment"}"#;
/// What the model and the tools do wrong: enough for calls that are repeated.
const MODEL_FAULTS: &str = r#"{"error_rate":0.02,"error_status":503}"#;
const TOOL_FAULTS: &str = r#"{"error_rate":0.02,"latency":"5ms"}"#;
const CALLERS: usize = 24;
/// How often somebody takes an invocation and fails.
const BETWEEN_FAILURES: Duration = Duration::from_millis(500);
const BETWEEN_KILLS: Duration = Duration::from_secs(4);
/// Who is killed in turn. Workers most often: they are the ones who go in an ordinary day.
const TURNS: [Peer; 8] =
    [Peer::Agent, Peer::ToolProxy, Peer::Agent, Peer::LlmProxy, Peer::Agent, Peer::Gateway, Peer::State, Peer::Queue];
const WITHIN: Duration = Duration::from_secs(120);
/// Who sends spans.
const TELLERS: [Peer; 6] = [Peer::Gateway, Peer::Agent, Peer::LlmProxy, Peer::ToolProxy, Peer::Queue, Peer::State];
/// What a demonstration does until it succeeds, whatever its tools answer: four questions, three tools of the mesh and one
/// record of the tenant's, and seven steps that are each looked for and recorded.
const DEMONSTRATED: [Deed; 6] = [
    deed("holdfast-llm-proxy", "chat ", 4, "a model call is missing"),
    deed("holdfast-tool-proxy", "execute_tool lookup_customer", 1, "a tool call is missing"),
    deed("holdfast-tool-proxy", "execute_tool lookup_payment", 1, "a tool call is missing"),
    deed("holdfast-tool-proxy", "execute_tool record_decision", 1, "a tool call is missing"),
    deed("holdfast-state", "holdfast.state.v1.StateService/Get", 8, "a read of state is missing"),
    deed("holdfast-state", "holdfast.state.v1.StateService/Put", 7, "a write of state is missing"),
];

const fn deed(service: &'static str, name: &'static str, times: usize, missing: &'static str) -> Deed {
    Deed { service, name, times, missing }
}

/// The demonstration with limits that nobody meets.
#[must_use]
pub fn demonstration() -> String {
    let roomy = "requests_per_minute = 1000000, concurrency = 200";
    let config = DEMONSTRATION.replace("requests_per_minute = 6000, concurrency = 20", roomy);
    assert!(config.contains(roomy), "the demonstration's key has other limits now");
    format!("{config}\n[simulator.keys.simulated]\nrequests_per_minute = 1000000\nconcurrency = 400\n")
}

/// Runs the proof.
///
/// # Panics
/// Where the mesh itself cannot be brought up.
pub async fn run(size: Size) -> Findings {
    let invocations = size.of(5_000, 300);
    let census = Census::start().await;
    let mut mesh = Mesh::builder()
        .config(demonstration())
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", census.endpoint())
        .env("HOLDFAST_TELEMETRY__TRACE_RATIO", "1.0")
        .env("HOLDFAST_TELEMETRY__LOG", "error")
        .start()
        .await;
    mesh.http(Peer::Simulator, "PUT", "/admin/faults", MODEL_FAULTS).await;
    for tool in ["lookup_customer", "lookup_payment", "record_decision"] {
        mesh.http(Peer::Simulator, "PUT", &format!("/admin/tools/{tool}/faults"), TOOL_FAULTS).await;
    }
    let load = Load::begin(&mesh, invocations);
    let clumsy = tokio::spawn(fail_now_and_then(mesh.queue()));
    let mut said = Said::default();
    let kills = storm(&mut mesh, &load, &mut said).await;
    let ended = load.ended().await;
    clumsy.abort();
    settle(&mut mesh, &mut said).await;
    let known: HashMap<_, _> = ended.iter().map(|invocation| (invocation.id.clone(), known(invocation))).collect();
    let verdict = judge(census.take(), &known);
    findings(invocations, &ended, kills, &said, &verdict)
}

fn known(invocation: &Invocation) -> Known {
    let succeeded = invocation.state() == InvocationState::Succeeded;
    let did: &[Deed] = if succeeded { &DEMONSTRATED } else { &[] };
    Known { leases: (invocation.attempt + invocation.lost_leases) as usize, did }
}

/// What processes said of their own spans, each before it was ended.
#[derive(Default)]
struct Said {
    ended: f64,
    dropped: f64,
}

impl Said {
    async fn ask(&mut self, mesh: &Mesh, peer: Peer) {
        let page = mesh.metrics(peer).await;
        let of = |outcome: &str| {
            let begins = format!("holdfast_spans_total{{outcome=\"{outcome}\"}} ");
            let figure = page.lines().find_map(|line| line.strip_prefix(&begins)?.parse::<f64>().ok());
            figure.unwrap_or_default()
        };
        self.ended += of("ended");
        self.dropped += of("dropped");
    }
}

/// A worker of its own among the pool's: what it takes it cannot do, and another attempt can.
async fn fail_now_and_then(mut queue: QueueServiceClient<Channel>) {
    let wait = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    let ask = LeaseRequest { worker: "clumsy".into(), agents: vec!["disputes".into()], max_leases: 1, wait };
    loop {
        // Where the way to the queue is gone, the lease is lost: that is an attempt of another kind.
        let leases = queue.lease(ask.clone()).await.map(|answer| answer.into_inner().leases).unwrap_or_default();
        for lease in leases {
            let failure = Failure { reason: "CLUMSY".into(), message: "dropped it".into(), retryable: true };
            queue.fail(FailRequest { token: lease.token, failure: Some(failure), usage: None }).await.ok();
        }
        sleep(BETWEEN_FAILURES).await;
    }
}

/// Kills one after another until the last invocation has ended.
async fn storm(mesh: &mut Mesh, load: &Load, said: &mut Said) -> usize {
    let mut kills = 0;
    for victim in TURNS.into_iter().cycle() {
        sleep(BETWEEN_KILLS).await;
        if load.left() == 0 {
            break;
        }
        said.ask(mesh, victim).await;
        mesh.kill(victim).await;
        mesh.restart(victim).await;
        kills += 1;
        telling(format!("{} was killed and is back; {} invocations are left", victim.name(), load.left()));
    }
    kills
}

/// Ends every service, so that each has sent what it had.
async fn settle(mesh: &mut Mesh, said: &mut Said) {
    for peer in TELLERS {
        said.ask(mesh, peer).await;
        mesh.signal(peer, Signal::Terminate).await;
        let ended = tokio::time::timeout(WITHIN, mesh.process(peer).wait()).await;
        assert!(ended.is_ok(), "{} drains", peer.name());
    }
}

/// Callers who each run one invocation after another, and come back to it when they lose the gateway.
struct Load {
    callers: JoinSet<Vec<Invocation>>,
    left: Arc<AtomicUsize>,
}

impl Load {
    fn begin(mesh: &Mesh, invocations: usize) -> Self {
        let (left, next) = (Arc::new(AtomicUsize::new(invocations)), Arc::new(AtomicUsize::new(0)));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (channel, left, next) = (mesh.channel(Peer::Gateway), Arc::clone(&left), Arc::clone(&next));
            callers.spawn(async move {
                let mut ended = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= invocations {
                        return ended;
                    }
                    ended.push(insist(&channel, number).await);
                    left.fetch_sub(1, Ordering::Relaxed);
                }
            });
        }
        Self { callers, left }
    }

    fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    async fn ended(self) -> Vec<Invocation> {
        self.callers.join_all().await.into_iter().flatten().collect()
    }
}

/// Runs an invocation, again under the same key whenever its answer is lost.
async fn insist(channel: &Channel, number: usize) -> Invocation {
    let payload = Some(Payload { data: DISPUTE.into(), content_type: String::new() });
    let key = format!("dispute-{number}");
    let spec = InvocationSpec { agent: "disputes".into(), payload, idempotency_key: key, ..Default::default() };
    let until = Instant::now() + 5 * WITHIN;
    loop {
        let mut request = Request::new(RunInvocationRequest { spec: Some(spec.clone()) });
        request.set_timeout(WITHIN);
        match InvocationServiceClient::new(channel.clone()).run_invocation(request).await {
            Ok(ended) => return ended.into_inner().invocation.expect("it has ended"),
            Err(status) => assert!(Instant::now() < until, "invocation {number} never ends: {status}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn findings(invocations: usize, ended: &[Invocation], kills: usize, said: &Said, verdict: &Verdict) -> Findings {
    verdict.examples.iter().for_each(|example| println!("{example}"));
    verdict.wrong.iter().for_each(|(wrong, how_many)| telling(format!("{how_many} traces: {wrong}")));
    let succeeded = ended.iter().filter(|invocation| invocation.state() == InvocationState::Succeeded).count();
    let mut findings = Findings::default();
    findings.at_least("invocations", ended.len() as f64, invocations as f64);
    // Of the others nobody knows what they did.
    findings.at_least("succeeded", succeeded as f64, 0.9 * invocations as f64);
    findings.at_least("kills", kills as f64, 1.0);
    findings.at_least("lost_attempts", verdict.lost as f64, 1.0);
    findings.at_least("failed_attempts", verdict.failed as f64, 1.0);
    findings.tell("spans", verdict.spans as f64);
    findings.tell("spans_cut_by_a_kill", verdict.cut as f64);
    findings.tell("spans_sent_twice", verdict.repeated as f64);
    findings.at_least("spans_ended_as_services_say", said.ended, 1.0);
    findings.at_most("spans_dropped_as_services_say", said.dropped, 0.0);
    findings.at_least("complete_percent", 100.0 * verdict.whole as f64 / verdict.invocations.max(1) as f64, 99.9);
    findings
}
