//! Processes that end, in order or not.

use holdfast_proto::queue::v1::work_request::Hello;
use holdfast_proto::queue::v1::work_response::Message as Down;
use holdfast_proto::queue::v1::{CompleteRequest, InvocationState, Lease};

use super::Pair;
use crate::harness::{id_of, spec};
use crate::worker::{Worker, hello};

/// A worker comes with its lease, and ends its work.
async fn goes_on_at_the_other(pair: &Pair, lease: &Lease, id: &str) {
    let moving = Hello { held_tokens: vec![lease.token.clone()], ..hello() };
    let mut moved = Worker::open_with(pair.other.client(), moving).await;
    assert_eq!(moved.welcome.adopted_tokens, std::slice::from_ref(&lease.token));
    moved.complete(lease, "done");
    assert!(moved.settled().await.status.is_empty());
    assert_eq!(pair.other.get(id).await.lost_leases, 0);
}

#[tokio::test]
async fn killing_one_leaves_the_other_serving_and_what_it_kept_runs_there() {
    let mut pair = Pair::with("lease_ttl = \"2s\"\nstream_grace = \"200ms\"").await;
    let mut worker = Worker::open(pair.one.client(), 1).await;
    let running = pair.one.enqueue(spec()).await;
    let first = worker.lease().await;
    let waiting = pair.one.enqueue(spec()).await;
    pair.one.kill().await;
    drop(worker);
    // Once the process counts as gone its leases have their whole time, which its worker does not use.
    let one = pair.other.lease_one().await;
    assert_eq!(id_of(&one), waiting, "what nobody held is served at once");
    pair.other.client().complete(CompleteRequest { token: one.token, ..Default::default() }).await.unwrap();
    let two = pair.other.lease_one().await;
    assert_eq!(id_of(&two), running);
    assert!(two.fence > first.fence);
    let late = CompleteRequest { token: first.token, ..Default::default() };
    pair.other.client().complete(late).await.expect_err("its holder was taken for lost");
    pair.other.client().complete(CompleteRequest { token: two.token, ..Default::default() }).await.unwrap();
    assert_eq!(pair.other.state(&running).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn a_worker_of_a_killed_process_goes_on_at_the_other() {
    let mut pair = Pair::with("stream_grace = \"200ms\"").await;
    let mut worker = Worker::open(pair.one.client(), 1).await;
    let id = pair.one.enqueue(spec()).await;
    let lease = worker.lease().await;
    pair.one.kill().await;
    goes_on_at_the_other(&pair, &lease, &id).await;
}

/// That nobody heard of a worker since its process is gone is no sign that it is: it may hang on a connection to what is
/// only paused, and find out by its next heartbeat.
#[tokio::test]
async fn a_worker_that_comes_late_finds_its_lease_where_it_was_taken_over() {
    let mut pair = Pair::with("stream_grace = \"1ms\"").await;
    let mut worker = Worker::open(pair.one.client(), 1).await;
    let id = pair.one.enqueue(spec()).await;
    let lease = worker.lease().await;
    pair.one.kill().await;
    while pair.postgres.query("SELECT count(DISTINCT writer) FROM holdfast_queue.processes WHERE NOT is_buried").await
        != "1"
    {}
    // What would be free by now is leased before what is asked for after it.
    let after = pair.other.enqueue(spec()).await;
    assert_eq!(id_of(&pair.other.lease_one().await), after);
    goes_on_at_the_other(&pair, &lease, &id).await;
}

#[tokio::test]
async fn who_ends_in_order_leaves_nothing_to_wait_for() {
    let mut pair = Pair::with("lease_ttl = \"2s\"\nstream_grace = \"200ms\"").await;
    let mut worker = Worker::open(pair.one.client(), 1).await;
    let id = pair.one.enqueue(spec()).await;
    worker.lease().await;
    pair.one.begin_drain();
    assert!(matches!(worker.next().await, Down::Draining(_)));
    assert!(worker.hear().await.unwrap().is_none(), "the stream ends");
    drop(worker);
    pair.one.drained().await;
    let left = "SELECT count(*) FROM holdfast_queue.processes WHERE NOT is_buried AND NOT is_leaving";
    assert_eq!(pair.postgres.query(left).await, "1", "it says so itself");
    assert_eq!(id_of(&pair.other.lease_one().await), id);
}

#[tokio::test]
async fn who_comes_first_after_all_have_gone_finds_everything() {
    let mut pair = Pair::with("stream_grace = \"200ms\"").await;
    let id = pair.one.enqueue(spec()).await;
    let token = pair.one.lease_one().await.token;
    let waiting = pair.other.enqueue(spec()).await;
    pair.one.kill().await;
    pair.other.kill().await;
    let third = pair.join().await;
    assert_eq!(id_of(&third.lease_one().await), waiting);
    assert!(third.lease_now(1).await.is_empty(), "the other one is still held");
    third.client().complete(CompleteRequest { token, ..Default::default() }).await.expect("leases are durable");
    assert_eq!(third.state(&id).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn who_was_paused_frees_nothing_before_it_has_listened() {
    let pair = Pair::with("lease_ttl = \"1500ms\"\nstream_grace = \"200ms\"").await;
    let mut worker = Worker::open(pair.one.client(), 1).await;
    let id = pair.one.enqueue(spec()).await;
    let lease = worker.lease().await;
    // Longer than the lease, shorter than what others take for death. Its worker's heartbeats wait unread.
    pair.one.pause(std::time::Duration::from_millis(2_300));
    worker.heartbeat(&lease);
    worker.complete(&lease, "done");
    assert!(matches!(worker.next().await, Down::Heartbeat(beat) if beat.renewals[0].ttl.is_some()));
    assert!(worker.settled().await.status.is_empty());
    assert_eq!(pair.other.get(&id).await.lost_leases, 0);
}
