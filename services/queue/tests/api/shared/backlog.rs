//! A deep backlog: more than a window holds.

use std::collections::HashSet;

use holdfast_proto::queue::v1::work_response::Message as Down;

use super::Pair;
use super::contention::submit;
use crate::harness::PATIENCE;
use crate::worker::Worker;

const DEEP: u64 = 3_000;

async fn work_off(mut worker: Worker, ran: tokio::sync::mpsc::UnboundedSender<String>) {
    loop {
        if let Down::Leases(leases) = worker.next().await {
            for lease in leases.leases {
                worker.complete(&lease, "{}");
                worker.credit(1);
                if ran.send(lease.invocation.unwrap().id).is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_backlog_deeper_than_any_window_is_worked_off_whole_by_who_comes_later() {
    let mut pair = Pair::start().await;
    submit(&pair.one, "default", DEEP).await;
    pair.one.kill().await;
    // Of what it made ready, nobody's memory knows anything.
    let third = pair.join().await;
    let (tell, mut ran) = tokio::sync::mpsc::unbounded_channel();
    let mut workers = tokio::task::JoinSet::new();
    for queue in [&pair.other, &third] {
        workers.spawn(work_off(Worker::open(queue.client(), 64).await, tell.clone()));
    }
    let mut seen = HashSet::new();
    while seen.len() < DEEP as usize {
        let id = tokio::time::timeout(PATIENCE, ran.recv()).await.expect("the work goes on").unwrap();
        assert!(seen.insert(id), "each runs once");
    }
}
