//! Many who want the same.

use std::collections::{BTreeMap, HashSet};

use holdfast_proto::queue::v1::enqueue_stream_request::Call;
use holdfast_proto::queue::v1::enqueue_stream_request::call::Call as Ask;
use holdfast_proto::queue::v1::enqueue_stream_response::answer::Answer;
use holdfast_proto::queue::v1::work_response::Message as Down;
use holdfast_proto::queue::v1::{EnqueueStreamRequest, InvocationSpec, InvocationState, ListInvocationsRequest};

use super::Pair;
use crate::calls::request;
use crate::harness::{Harness, PATIENCE, as_tenant, id_of, spec};
use crate::worker::Worker;

const CREDITS: u32 = 8;

/// Works until it has seen so many, and says which, in their order, with their tenants.
async fn work(mut worker: Worker, mut done: impl AsyncFnMut(String, String) -> bool) {
    loop {
        match worker.next().await {
            Down::Leases(leases) => {
                for lease in leases.leases {
                    worker.complete(&lease, "{}");
                    worker.credit(1);
                    let invocation = lease.invocation.unwrap();
                    if done(invocation.id, invocation.tenant).await {
                        return;
                    }
                }
            }
            Down::Settled(settled) => assert!(settled.status.is_empty(), "it was held by nobody else"),
            other => panic!("unexpected: {other:?}"),
        }
    }
}

/// Two workers at each of the two; what they ran, in the order in which they said so.
async fn run_all(pair: &Pair, count: usize) -> Vec<(String, String)> {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut workers = tokio::task::JoinSet::new();
    for queue in [&pair.one, &pair.other, &pair.one, &pair.other] {
        let worker = Worker::open(queue.client(), CREDITS).await;
        let tell = tell.clone();
        workers.spawn(work(worker, async move |id, tenant| tell.send((id, tenant)).is_err()));
    }
    let mut ran = Vec::new();
    while ran.len() < count {
        let next = tokio::time::timeout(PATIENCE, told.recv()).await.expect("the work goes on");
        ran.push(next.unwrap());
    }
    ran
}

pub(super) async fn submit(queue: &Harness, tenant: &str, count: u64) -> Vec<String> {
    let calls = (1..=count).map(|call_id| Call { call_id, call: Some(Ask::Enqueue(request(spec()))) }).collect();
    let requests = as_tenant(tokio_stream::once(EnqueueStreamRequest { calls }), tenant);
    let mut answers = queue.client().enqueue_stream(requests).await.unwrap().into_inner();
    let mut ids = Vec::new();
    while let Some(message) = tokio::time::timeout(PATIENCE, answers.message()).await.expect("it goes on").unwrap() {
        ids.extend(message.answers.into_iter().map(|answer| match answer.answer {
            Some(Answer::Accepted(accepted)) => accepted.invocation_id,
            other => panic!("an acceptance was expected, not {other:?}"),
        }));
    }
    assert_eq!(ids.len() as u64, count);
    ids
}

#[tokio::test]
async fn each_runs_once_though_two_processes_want_it() {
    let pair = Pair::start().await;
    let (mut ids, more) = tokio::join!(submit(&pair.one, "default", 200), submit(&pair.other, "default", 200));
    ids.extend(more);
    let ran: Vec<String> = run_all(&pair, ids.len()).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ran.iter().collect::<HashSet<_>>().len(), ran.len(), "none was leased twice");
    assert_eq!(ran.into_iter().collect::<HashSet<_>>(), ids.into_iter().collect());
    let lost = ListInvocationsRequest { states: vec![InvocationState::Queued.into()], ..Default::default() };
    assert!(pair.one.client().list_invocations(lost).await.unwrap().into_inner().invocations.is_empty());
}

#[tokio::test]
async fn a_tenant_that_floods_through_one_process_does_not_hold_up_who_submits_through_the_other() {
    let pair = Pair::start().await;
    let (flood, few) = tokio::join!(submit(&pair.one, "flood", 600), submit(&pair.other, "few", 60));
    let ran = run_all(&pair, flood.len() + few.len()).await;
    let last = ran.iter().rposition(|(_, tenant)| tenant == "few").unwrap();
    // Half of what runs is theirs until they have no more: 120, and what was on its way to eager workers.
    let share = ran[..=last].iter().fold(BTreeMap::<&str, usize>::new(), |mut share, (_, tenant)| {
        *share.entry(tenant).or_default() += 1;
        share
    });
    assert!(share["flood"] <= 60 + 2 * 4 * CREDITS as usize, "{share:?}");
}

#[tokio::test]
async fn shares_are_by_weight_whichever_process_gives_the_leases() {
    let pair = Pair::with("[tenants.heavy]\nweight = 3").await;
    tokio::join!(submit(&pair.one, "heavy", 600), submit(&pair.other, "light", 600));
    // Both have more than they get by then.
    let ran = run_all(&pair, 400).await;
    let heavy = ran[..400].iter().filter(|(_, tenant)| tenant == "heavy").count();
    let on_the_way = 4 * CREDITS as usize;
    assert!(heavy.abs_diff(300) <= on_the_way, "{heavy} of 400");
}

#[tokio::test]
async fn priority_counts_whichever_process_gives_the_lease() {
    let pair = Pair::start().await;
    submit(&pair.one, "default", 50).await;
    let mut urgent = Vec::new();
    for _ in 0..5 {
        urgent.push(pair.one.enqueue(InvocationSpec { priority: 100, ..spec() }).await);
    }
    // Among equals each process has an order of its own.
    for _ in 0..urgent.len() {
        assert!(urgent.contains(&id_of(&pair.other.lease_one().await).to_owned()));
    }
}

#[tokio::test]
async fn depths_are_of_all_processes() {
    let pair = Pair::start().await;
    submit(&pair.one, "default", 3).await;
    submit(&pair.other, "default", 4).await;
    for queue in [&pair.one, &pair.other] {
        let counted = async {
            loop {
                let depths = queue.client().list_depths(holdfast_proto::queue::v1::ListDepthsRequest {}).await.unwrap();
                if depths.into_inner().depths.iter().any(|depth| depth.queued == 7) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, counted).await.expect("each counts what all hold");
    }
    let lease = pair.one.lease_one().await;
    assert_eq!(pair.other.state(id_of(&lease)).await, InvocationState::Leased);
}
