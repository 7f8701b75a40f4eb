use std::time::{Duration, Instant};

use holdfast_proto::queue::v1::work_request::Hello;
use holdfast_proto::queue::v1::{CompleteRequest, InvocationSpec, InvocationState};

use crate::harness::{Harness, id_of, in_session, payload, spec};
use crate::worker::{Worker, hello};

#[tokio::test]
async fn what_was_accepted_survives_a_restart_in_its_order() {
    let mut queue = Harness::start().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(queue.enqueue(InvocationSpec { payload: Some(payload(&n.to_string())), ..spec() }).await);
    }
    queue.restart().await;
    let leases = queue.lease_now(100).await;
    assert_eq!(leases.iter().map(id_of).collect::<Vec<_>>(), ids);
    let last = leases[19].invocation.as_ref().unwrap().spec.as_ref().unwrap();
    assert_eq!(last.payload, Some(payload("19")));
}

#[tokio::test]
async fn a_lease_survives_a_restart() {
    let mut queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let token = queue.lease_one().await.token;
    queue.restart().await;
    assert!(queue.lease_now(1).await.is_empty(), "it is still held");
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.expect("leases are durable");
    assert_eq!(queue.state(&id).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn after_a_restart_a_lease_has_its_full_time_again() {
    let mut queue = Harness::with("lease_ttl = \"1s\"\nstream_grace = \"100ms\"").await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let id = queue.enqueue(spec()).await;
    worker.lease().await;
    queue.kill().await;
    let again = Instant::now();
    queue.start_again().await;
    // Neither the time that it was down nor the shorter grace of a broken stream counts.
    assert_eq!(id_of(&queue.lease_one().await), id);
    assert!(again.elapsed() >= Duration::from_secs(1), "{:?}", again.elapsed());
}

#[tokio::test]
async fn a_worker_goes_on_after_a_restart_with_the_leases_that_it_names() {
    let mut queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 2).await;
    let kept = queue.enqueue(spec()).await;
    let dropped = queue.enqueue(spec()).await;
    let (first, second) = (worker.lease().await, worker.lease().await);
    assert_eq!((id_of(&first), id_of(&second)), (kept.as_str(), dropped.as_str()));
    queue.restart().await;
    let named = Hello { held_tokens: vec![first.token.clone()], credits: 1, ..hello() };
    let mut worker = Worker::open_with(queue.client(), named).await;
    assert_eq!(worker.welcome.adopted_tokens, std::slice::from_ref(&first.token));
    let again = worker.lease().await;
    assert_eq!(id_of(&again), dropped, "what it did not name is freed");
    worker.complete(&first, "done");
    assert!(worker.settled().await.status.is_empty());
    assert_eq!(queue.state(&kept).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn sessions_and_fences_go_on_after_a_restart() {
    let mut queue = Harness::start().await;
    let first = queue.enqueue(in_session("s")).await;
    let lease = queue.lease_one().await;
    assert_eq!(id_of(&lease), first);
    queue.restart().await;
    let second = queue.enqueue(in_session("s")).await;
    assert!(queue.lease_now(1).await.is_empty(), "the first one still runs");
    queue.client().complete(CompleteRequest { token: lease.token, ..Default::default() }).await.unwrap();
    let next = queue.lease_one().await;
    assert_eq!(id_of(&next), second);
    assert!(next.fence > lease.fence);
}

#[tokio::test]
async fn answers_and_keys_survive_a_restart() {
    let mut queue = Harness::start().await;
    let keyed = InvocationSpec { idempotency_key: "k".into(), ..spec() };
    let id = queue.enqueue(keyed.clone()).await;
    let complete = CompleteRequest { token: queue.lease_one().await.token, ..Default::default() };
    let first = queue.client().complete(complete.clone()).await.unwrap().into_inner();
    queue.restart().await;
    assert_eq!(queue.try_enqueue(keyed).await.unwrap(), (id, false));
    assert_eq!(queue.client().complete(complete).await.unwrap().into_inner(), first);
}

#[tokio::test]
async fn a_second_queue_on_the_same_directory_is_refused() {
    let queue = Harness::start().await;
    queue.enqueue(spec()).await;
    let config = holdfast_queue::Config::default();
    let key = holdfast_rpc::lease::LeaseKey::new(b"k");
    let refused = holdfast_queue::queue::Queue::open(queue.directory(), config, key).await.err().unwrap();
    assert!(refused.to_string().contains("queue.lock"), "{refused}");
}
