//! kill -9 of the queue between acknowledging and leasing, at random moments.
//!
//! Each round: eight callers submit without pause; once a random number is acknowledged the queue is killed and started
//! again; what was under way is repeated under its key until it is acknowledged; then a worker takes everything there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::gateway::v1::{ListInvocationsRequest, SubmitInvocationRequest, WatchInvocationRequest};
use holdfast_proto::queue::v1::invocation_event::Event;
use holdfast_proto::queue::v1::{CompleteRequest, InvocationSpec, InvocationState, LeaseRequest, Payload};
use holdfast_testkit::Mesh;
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::patience::patiently;

const AGENT: &str = "work";
const CALLERS: u32 = 8;
const ACKNOWLEDGED_BEFORE_A_KILL: std::ops::Range<usize> = 1..60;
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// What was done and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Kills of a queue that had just acknowledged.
    pub kills: u32,
    /// Invocations acknowledged to callers.
    pub acknowledged: usize,
    /// Invocations that the queue holds.
    pub held: usize,
    /// Acknowledged ones that nobody could lease.
    pub missing: usize,
    /// Leases of what had been completed already, and second ends.
    pub repeated: usize,
}

impl Report {
    /// Whether everything acknowledged ended exactly once, and a repeated submission is the same invocation.
    pub const fn nothing_lost_or_repeated(&self) -> bool {
        self.missing == 0 && self.repeated == 0 && self.held == self.acknowledged
    }
}

/// Runs the rounds on one mesh.
///
/// # Panics
/// Where a service does not come back.
pub async fn run(rounds: u32) -> Report {
    let config = format!("[gateway]\nextra_agents = [{AGENT:?}]\n");
    let mut mesh = Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State]).config(config).start().await;
    let mut report = Report::default();
    let mut acknowledged = BTreeSet::new();
    let mut completed = BTreeMap::new();
    for round in 0..rounds {
        acknowledged.extend(submit_and_kill(&mut mesh, round).await);
        report.kills += 1;
        // A timeout leaves something missing, which the report counts.
        let _ = timeout(DRAINED_WITHIN, drain(&mesh, &acknowledged, &mut completed)).await;
    }
    report.acknowledged = acknowledged.len();
    report.held = held(&mesh).await;
    report.missing = acknowledged.iter().filter(|id| !completed.contains_key(*id)).count();
    report.repeated = completed.values().filter(|times| **times > 1).count();
    for id in &acknowledged {
        report.repeated += usize::from(ends(&mesh, id).await != 1);
    }
    report
}

async fn submit_and_kill(mesh: &mut Mesh, round: u32) -> Vec<String> {
    let (tell, mut told) = watch::channel(Vec::new());
    let (tell, enough) = (Arc::new(tell), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (gateway, tell, enough) = (mesh.invocations(), Arc::clone(&tell), Arc::clone(&enough));
        callers.spawn(async move {
            for number in 0.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                let id = submit(&gateway, format!("{round}-{caller}-{number}")).await;
                tell.send_modify(|ids| ids.push(id));
            }
        });
    }
    let wanted = rand::rng().random_range(ACKNOWLEDGED_BEFORE_A_KILL);
    told.wait_for(|ids| ids.len() >= wanted).await.expect("the callers are at it");
    mesh.kill(Peer::Queue).await;
    enough.store(true, Ordering::Relaxed);
    mesh.restart(Peer::Queue).await;
    while let Some(ended) = callers.join_next().await {
        ended.expect("a caller does not panic");
    }
    told.borrow().clone()
}

async fn submit(gateway: &InvocationServiceClient<Channel>, key: String) -> String {
    let payload = Payload { data: b"{}".to_vec().into(), content_type: String::new() };
    let spec =
        InvocationSpec { agent: AGENT.into(), payload: Some(payload), idempotency_key: key, ..Default::default() };
    let answer = patiently(SubmitInvocationRequest { spec: Some(spec) }, |request| {
        let mut gateway = gateway.clone();
        async move { gateway.submit_invocation(request).await }
    });
    answer.await.expect("the queue comes back and takes it").invocation_id
}

/// Leases and completes until everything acknowledged has been completed, and nothing is left.
async fn drain(mesh: &Mesh, acknowledged: &BTreeSet<String>, completed: &mut BTreeMap<String, u32>) {
    let queue = mesh.queue();
    let wait = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
    loop {
        let ask = LeaseRequest { worker: "drain".into(), agents: vec![AGENT.into()], max_leases: 64, wait };
        let leased = patiently(ask, |request| {
            let mut queue = queue.clone();
            async move { queue.lease(request).await }
        });
        let leases = leased.await.expect("a worker may lease").leases;
        if leases.is_empty() && acknowledged.iter().all(|id| completed.contains_key(id)) {
            return;
        }
        for lease in leases {
            let complete = CompleteRequest { token: lease.token, ..Default::default() };
            let done = patiently(complete, |request| {
                let mut queue = queue.clone();
                async move { queue.complete(request).await }
            });
            done.await.expect("the lease counts");
            *completed.entry(lease.invocation.unwrap_or_default().id).or_default() += 1;
        }
    }
}

async fn held(mesh: &Mesh) -> usize {
    let gateway = mesh.invocations();
    let mut held = 0;
    let mut page_token = String::new();
    loop {
        let ask = ListInvocationsRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = patiently(ask, |request| {
            let mut gateway = gateway.clone();
            async move { gateway.list_invocations(request).await }
        });
        let page = page.await.expect("invocations can be listed");
        held += page.invocations.len();
        if page.next_page_token.is_empty() {
            return held;
        }
        page_token = page.next_page_token;
    }
}

/// How often an invocation became terminal, by its own events.
pub(crate) async fn ends(mesh: &Mesh, id: &str) -> usize {
    let request = WatchInvocationRequest { invocation_id: id.to_owned(), from_offset: 0 };
    let mut events = mesh.invocations().watch_invocation(request).await.expect("it is there").into_inner();
    let mut ends = 0;
    while let Some(event) = events.message().await.expect("its events can be read") {
        if let Some(Event::StateChanged(change)) = event.event.and_then(|event| event.event) {
            ends += usize::from(!matches!(change.state(), InvocationState::Queued | InvocationState::Leased));
        }
    }
    ends
}
