//! Leases that move between processes.

use std::time::Duration;

use holdfast_proto::queue::v1::work_request::Hello;
use holdfast_proto::queue::v1::{CompleteRequest, HeartbeatRequest, InvocationState};

use super::Pair;
use crate::harness::{Harness, id_of, spec};
use crate::worker::{Worker, hello};

async fn beats(queue: &Harness, token: &str) -> bool {
    let request = HeartbeatRequest { tokens: vec![token.to_owned()] };
    queue.client().heartbeat(request).await.unwrap().into_inner().renewals[0].ttl.is_some()
}

#[tokio::test]
async fn a_worker_moves_its_leases_to_another_process_by_its_tokens() {
    let pair = Pair::with("stream_grace = \"300ms\"").await;
    let mut worker = Worker::open(pair.one.client(), 1).await;
    let id = pair.one.enqueue(spec()).await;
    let lease = worker.lease().await;
    let moving = Hello { held_tokens: vec![lease.token.clone()], ..hello() };
    let mut moved = Worker::open_with(pair.other.client(), moving).await;
    assert_eq!(moved.welcome.adopted_tokens, std::slice::from_ref(&lease.token));
    // Its old stream breaks: that frees nothing any more.
    drop(worker);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    while tokio::time::Instant::now() < deadline {
        assert!(pair.one.lease_now(1).await.is_empty(), "it is held at the other");
    }
    moved.complete(&lease, "done");
    assert!(moved.settled().await.status.is_empty());
    assert_eq!(pair.one.state(&id).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn a_heartbeat_at_another_process_moves_the_lease_there() {
    let mut pair = Pair::with("lease_ttl = \"1s\"\nstream_grace = \"100ms\"").await;
    let id = pair.one.enqueue(spec()).await;
    let token = pair.one.lease_one().await.token;
    assert!(beats(&pair.other, &token).await);
    pair.one.kill().await;
    // The process that granted it is gone, and the one that keeps it hears of its holder.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    while tokio::time::Instant::now() < deadline {
        assert!(beats(&pair.other, &token).await, "it is renewed where its holder shows it");
    }
    pair.other.client().complete(CompleteRequest { token, ..Default::default() }).await.expect("it is in force");
    assert_eq!(pair.other.get(&id).await.lost_leases, 0);
}

#[tokio::test]
async fn a_lease_goes_back_and_forth_and_is_kept_by_the_last_one_that_saw_its_holder() {
    let pair = Pair::with("lease_ttl = \"1s\"\nstream_grace = \"100ms\"").await;
    let id = pair.one.enqueue(spec()).await;
    let token = pair.one.lease_one().await.token;
    for _ in 0..10 {
        assert!(beats(&pair.other, &token).await);
        assert!(beats(&pair.one, &token).await);
    }
    // Now its holder is silent: whoever keeps it frees it, once.
    let again = pair.other.lease_one().await;
    assert_eq!((id_of(&again), again.invocation.as_ref().unwrap().lost_leases), (id.as_str(), 1));
    assert!(!beats(&pair.one, &token).await && !beats(&pair.other, &token).await);
}

#[tokio::test]
async fn a_repeat_of_a_completion_gets_its_first_answer_at_the_other_process() {
    let pair = Pair::start().await;
    pair.one.enqueue(spec()).await;
    let complete = CompleteRequest { token: pair.one.lease_one().await.token, ..Default::default() };
    let first = pair.one.client().complete(complete.clone()).await.unwrap().into_inner();
    assert_eq!(pair.other.client().complete(complete).await.unwrap().into_inner(), first);
}
