//! What is old goes by itself.

use holdfast_proto::queue::v1::invocation_event::Event;
use holdfast_proto::queue::v1::report_progress_request::Event as Report;
use holdfast_proto::queue::v1::{CompleteRequest, InvocationSpec, InvocationState, ReportProgressRequest};
use holdfast_rpc::status;
use tonic::Code;

use crate::harness::{Harness, PATIENCE, payload, spec};

/// Waits until something holds: the retention works by itself, and tells nobody.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    // Each look is a call, so that this is no tight loop.
    let waited = tokio::time::timeout(PATIENCE, async { while !holds().await {} });
    waited.await.unwrap_or_else(|_| panic!("{what} in time"));
}

async fn done(queue: &Harness, spec: InvocationSpec) -> String {
    let id = queue.enqueue(spec).await;
    let token = queue.lease_one().await.token;
    let chunk = ReportProgressRequest { token: token.clone(), event: Some(Report::Chunk("part".into())) };
    queue.client().report_progress(chunk).await.unwrap();
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    id
}

#[tokio::test]
async fn ended_invocations_go_after_their_time_and_others_stay() {
    let queue = Harness::with("retention = \"300ms\"\nreport_ttl = \"300ms\"\nidempotency_ttl = \"300ms\"").await;
    let waiting = queue.enqueue(spec()).await;
    let running = queue.lease_one().await;
    let old = done(&queue, spec()).await;
    until("it goes", async || queue.get_as("default", &old).await.is_err_and(|status| status.code() == Code::NotFound))
        .await;
    assert_eq!(queue.state(&waiting).await, InvocationState::Leased);
    queue.client().complete(CompleteRequest { token: running.token, ..Default::default() }).await.unwrap();
    let young = done(&queue, spec()).await;
    assert_eq!(queue.state(&young).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn a_key_may_be_used_anew_after_its_time() {
    let queue = Harness::with("idempotency_ttl = \"200ms\"").await;
    let under =
        |key: &str, text: &str| InvocationSpec { idempotency_key: key.into(), payload: Some(payload(text)), ..spec() };
    let keyed = |text: &str| under("k", text);
    let first = queue.enqueue(keyed("{}")).await;
    let lease = queue.lease_one().await;
    // A younger key is free, so this one's time has passed too: it stands for its invocation as long as that lives.
    done(&queue, under("younger", "{}")).await;
    until("the younger key is free", async || {
        queue.try_enqueue(under("younger", "[]")).await.is_ok_and(|(_, created)| created)
    })
    .await;
    assert_eq!(queue.try_enqueue(keyed("{}")).await.unwrap(), (first.clone(), false));
    let refused = queue.try_enqueue(keyed("[]")).await.unwrap_err();
    assert_eq!((refused.code(), status::id(&refused)), (Code::AlreadyExists, Some(first.clone())));
    queue.client().complete(CompleteRequest { token: lease.token, ..Default::default() }).await.unwrap();
    until("the key is free", async || queue.try_enqueue(keyed("[]")).await.is_ok_and(|(_, created)| created)).await;
    assert_eq!(queue.state(&first).await, InvocationState::Succeeded, "the first one is still there");
}

#[tokio::test]
async fn output_goes_before_its_invocation_and_a_late_watcher_is_told() {
    let mut queue = Harness::with("report_ttl = \"200ms\"").await;
    let id = done(&queue, spec()).await;
    queue.restart().await;
    let read = async |queue: &Harness, from: u64| {
        let mut events = queue.watch(&id, from).await;
        let mut all = Vec::new();
        while let Some(message) = events.message().await.unwrap() {
            all.push(message.event.unwrap());
        }
        all
    };
    let is_dropped = |event: &Option<Event>| matches!(event, Some(Event::Dropped(_)));
    until("the output goes", async || read(&queue, 0).await.iter().any(|event| is_dropped(&event.event))).await;
    let all = read(&queue, 0).await;
    let offsets: Vec<u64> = all.iter().map(|event| event.offset).collect();
    assert_eq!(offsets, [1, 2, 3, 4], "no offset is missing");
    let Some(Event::Dropped(dropped)) = &all[2].event else { panic!("{:?}", all[2]) };
    assert_eq!((dropped.first_offset, dropped.count), (3, 1));
    let tail = read(&queue, 4).await;
    assert!(tail.len() == 1 && !is_dropped(&tail[0].event), "what was not asked for is not missing");
}
