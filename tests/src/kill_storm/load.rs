//! Callers that submit at a steady rate, each submission under a key until it is acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_proto::gateway::v1::SubmitInvocationRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::{InvocationSpec, Payload};
use holdfast_testkit::Mesh;
use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::Channel;

use super::AGENT;
use crate::patience::patiently;

const CALLERS: u32 = 8;
/// Most work is short; one in ten is long enough to be met by a kill.
const SHORT_MS: std::ops::Range<u64> = 5..100;
const LONG_MS: std::ops::Range<u64> = 500..2_500;

pub(super) struct Load {
    callers: JoinSet<Vec<String>>,
    enough: Arc<AtomicBool>,
}

impl Load {
    pub(super) fn start(mesh: &Mesh, rate: u32) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (gateway, enough) = (mesh.invocations(), Arc::clone(&enough));
            callers.spawn(async move {
                let mut ticks = interval(Duration::from_secs(1) * CALLERS / rate);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                let mut acknowledged = Vec::new();
                while !enough.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let key = format!("{caller}-{}", acknowledged.len());
                    acknowledged.push(submit(&gateway, key).await);
                }
                acknowledged
            });
        }
        Self { callers, enough }
    }

    /// Submits no more; everything that was acknowledged.
    pub(super) async fn stop(self) -> BTreeSet<String> {
        self.enough.store(true, Ordering::Relaxed);
        self.callers.join_all().await.into_iter().flatten().collect()
    }
}

async fn submit(gateway: &InvocationServiceClient<Channel>, key: String) -> String {
    let work_ms = {
        let mut dice = rand::rng();
        if dice.random_ratio(1, 10) { dice.random_range(LONG_MS) } else { dice.random_range(SHORT_MS) }
    };
    let data = format!("{{\"work_ms\":{work_ms}}}").into_bytes().into();
    let payload = Payload { data, content_type: String::new() };
    let spec =
        InvocationSpec { agent: AGENT.into(), payload: Some(payload), idempotency_key: key, ..Default::default() };
    let answer = patiently(SubmitInvocationRequest { spec: Some(spec) }, |request| {
        let mut gateway = gateway.clone();
        async move { gateway.submit_invocation(request).await }
    });
    answer.await.expect("the mesh comes back and takes it").invocation_id
}
