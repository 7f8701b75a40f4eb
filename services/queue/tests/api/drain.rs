use holdfast_proto::queue::v1::InvocationState;
use holdfast_proto::queue::v1::enqueue_stream_request::call::Call as Ask;
use holdfast_proto::queue::v1::enqueue_stream_response::answer::Answer;
use holdfast_proto::queue::v1::work_request::Hello;
use holdfast_proto::queue::v1::work_response::Message as Down;
use holdfast_rpc::status;
use tonic::Code;

use crate::calls::{Calls, request};
use crate::harness::{Harness, id_of, spec};
use crate::worker::{Worker, hello};

#[tokio::test]
async fn a_drain_tells_streams_and_ends_and_what_was_acknowledged_is_still_there() {
    let mut queue = Harness::start().await;
    let mut worker = Worker::open(queue.client(), 1).await;
    let mut calls = Calls::open(&queue).await;
    calls.send(vec![(1, Ask::EnqueueAndWait(request(spec())))]);
    let Some((1, Answer::Accepted(accepted))) = calls.next().await else { panic!("it is accepted") };
    let lease = worker.lease().await;
    let waiting = queue.enqueue(spec()).await;

    queue.begin_drain();
    assert!(matches!(worker.next().await, Down::Draining(_)));
    assert!(worker.hear().await.unwrap().is_none(), "the stream ends");
    let Some((1, Answer::Status(bytes))) = calls.next().await else { panic!("the wait is answered") };
    let refused = status::from_bytes(&bytes);
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(status::retry_after(&refused).is_some());
    assert!(calls.next().await.is_none(), "the stream ends");
    drop((worker, calls));
    queue.drained().await;

    queue.start_again().await;
    let back = Hello { held_tokens: vec![lease.token.clone()], credits: 1, ..hello() };
    let mut worker = Worker::open_with(queue.client(), back).await;
    assert_eq!(worker.welcome.adopted_tokens, std::slice::from_ref(&lease.token));
    assert_eq!(id_of(&worker.lease().await), waiting);
    worker.complete(&lease, "done");
    assert!(worker.settled().await.status.is_empty());
    assert_eq!(queue.state(&accepted.invocation_id).await, InvocationState::Succeeded);
}

#[tokio::test]
async fn calls_that_wait_end_with_the_drain() {
    let mut queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let held = queue.lease_one().await;
    assert_eq!(id_of(&held), id);
    let mut events = queue.watch(&id, 3).await;
    let waiting = {
        let mut client = queue.client();
        tokio::spawn(async move {
            let request = holdfast_proto::queue::v1::LeaseRequest {
                worker: "w".into(),
                agents: vec!["mail".into()],
                max_leases: 1,
                wait: Some(std::time::Duration::from_secs(60).try_into().unwrap()),
            };
            client.lease(request).await
        })
    };
    queue.begin_drain();
    assert_eq!(events.message().await.unwrap_err().code(), Code::Unavailable);
    drop(events);
    // Whether it came before the drain or after it, it does not hold it up.
    let _ = waiting.await.unwrap();
    queue.drained().await;
}

#[tokio::test]
async fn a_drain_leaves_no_lease_behind_that_nobody_got() {
    let mut queue = Harness::start().await;
    for round in 0..8 {
        let mut client = queue.client();
        let call = tokio::spawn(async move {
            let request = holdfast_proto::queue::v1::LeaseRequest {
                worker: "w".into(),
                agents: vec!["mail".into()],
                max_leases: 1,
                wait: Some(std::time::Duration::from_secs(60).try_into().unwrap()),
            };
            client.lease(request).await.map(|answer| answer.into_inner().leases)
        });
        let mut client = queue.client();
        let submitted = tokio::spawn(async move { client.enqueue(request(spec())).await });
        // A submission, its lease and the drain meet, now this way and now that.
        for _ in 0..round * 20 {
            tokio::task::yield_now().await;
        }
        queue.begin_drain();
        let got = call.await.unwrap().unwrap_or_default();
        let accepted = submitted.await.unwrap();
        queue.drained().await;
        queue.start_again().await;
        if let Ok(accepted) = accepted {
            let id = accepted.into_inner().invocation_id;
            let expected = if got.is_empty() { InvocationState::Queued } else { InvocationState::Leased };
            assert_eq!(queue.state(&id).await, expected, "round {round}");
            let cancel = holdfast_proto::queue::v1::CancelInvocationRequest { invocation_id: id, ..Default::default() };
            queue.client().cancel_invocation(cancel).await.unwrap();
        }
    }
}
