//! What is done at one process is heard of at the other.

use holdfast_proto::queue::v1::enqueue_stream_request::WaitRequest;
use holdfast_proto::queue::v1::enqueue_stream_request::call::Call as Ask;
use holdfast_proto::queue::v1::enqueue_stream_response::answer::Answer;
use holdfast_proto::queue::v1::invocation_event::Event;
use holdfast_proto::queue::v1::invocation_event::Progress;
use holdfast_proto::queue::v1::report_progress_request::Event as Report;
use holdfast_proto::queue::v1::{
    CancelInvocationRequest, CompleteRequest, InvocationSpec, InvocationState, ReportProgressRequest,
};

use super::Pair;
use crate::calls::{Calls, request};
use crate::harness::{PATIENCE, id_of, in_session, spec};
use crate::worker::Worker;

#[tokio::test]
async fn what_one_accepts_runs_at_the_others_worker() {
    let pair = Pair::start().await;
    let mut worker = Worker::open(pair.other.client(), 2).await;
    for _ in 0..5 {
        let id = pair.one.enqueue(spec()).await;
        let lease = worker.lease().await;
        assert_eq!(id_of(&lease), id);
        worker.complete(&lease, "{}");
        assert!(worker.settled().await.status.is_empty());
        worker.credit(1);
        assert_eq!(pair.one.state(&id).await, InvocationState::Succeeded);
    }
}

#[tokio::test]
async fn what_waits_already_is_there_for_a_worker_that_comes_to_the_other() {
    let pair = Pair::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(pair.one.enqueue(spec()).await);
    }
    let leases = pair.other.lease_now(10).await;
    let mut found: Vec<_> = leases.iter().map(id_of).collect();
    found.sort_unstable();
    assert_eq!(found, ids, "also for a call that does not wait");
}

#[tokio::test]
async fn cancelling_at_one_revokes_at_the_other() {
    let pair = Pair::start().await;
    let mut worker = Worker::open(pair.other.client(), 1).await;
    let id = pair.one.enqueue(spec()).await;
    let lease = worker.lease().await;
    let cancel = CancelInvocationRequest { invocation_id: id.clone(), reason: "enough".into() };
    pair.one.client().cancel_invocation(cancel).await.unwrap();
    let revoked = worker.revoked().await;
    assert_eq!((revoked.token, revoked.reason.as_str()), (lease.token, "CANCELLED"));
    assert_eq!(pair.other.state(&id).await, InvocationState::Cancelled);
}

#[tokio::test]
async fn a_wait_at_one_is_answered_when_the_other_completes() {
    let pair = Pair::start().await;
    let mut calls = Calls::open(&pair.one).await;
    calls.send(vec![(1, Ask::EnqueueAndWait(request(spec())))]);
    let Some((1, Answer::Accepted(accepted))) = calls.next().await else { panic!("it is accepted") };
    // One that did not submit it waits, too.
    let waiting = WaitRequest { tenant: String::new(), invocation_id: accepted.invocation_id.clone() };
    let mut late = Calls::open(&pair.one).await;
    late.send(vec![(7, Ask::Wait(waiting))]);
    let token = pair.other.lease_one().await.token;
    pair.other.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    for (calls, call_id) in [(&mut calls, 1), (&mut late, 7)] {
        let Some((answered, Answer::Ended(ended))) = calls.next().await else { panic!("an end was expected") };
        assert_eq!((answered, ended.id.as_str()), (call_id, accepted.invocation_id.as_str()));
        assert_eq!(ended.state(), InvocationState::Succeeded);
    }
}

#[tokio::test]
async fn a_watcher_at_one_sees_what_happens_at_the_other() {
    let pair = Pair::start().await;
    let id = pair.one.enqueue(spec()).await;
    let mut events = pair.one.watch(&id, 0).await;
    let mut next = async || {
        let message = tokio::time::timeout(PATIENCE, events.message()).await.expect("an event comes").unwrap();
        message.and_then(|message| message.event).and_then(|event| event.event)
    };
    assert!(matches!(next().await, Some(Event::StateChanged(_))));
    let token = pair.other.lease_one().await.token;
    assert!(matches!(next().await, Some(Event::StateChanged(_))));
    let event = Some(Report::Progress(Progress { message: "half".into(), fraction: Some(0.5) }));
    pair.other.client().report_progress(ReportProgressRequest { token: token.clone(), event }).await.unwrap();
    assert!(matches!(next().await, Some(Event::Progress(_))));
    pair.other.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    let Some(Event::StateChanged(changed)) = next().await else { panic!("an end was expected") };
    assert_eq!(changed.state(), InvocationState::Succeeded);
    assert!(next().await.is_none(), "the stream ends");
}

#[tokio::test]
async fn sessions_keep_their_order_across_processes() {
    let pair = Pair::start().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let queue = if n % 2 == 0 { &pair.one } else { &pair.other };
        ids.push(queue.enqueue(InvocationSpec { priority: n, ..in_session("s") }).await);
    }
    let mut fence = 0;
    for (n, id) in ids.iter().enumerate() {
        let (here, there) = if n % 2 == 0 { (&pair.other, &pair.one) } else { (&pair.one, &pair.other) };
        let lease = here.lease_one().await;
        assert_eq!(id_of(&lease), id);
        assert!(lease.fence > fence, "fences rise within a session, whoever grants");
        fence = lease.fence;
        assert!(there.lease_now(10).await.is_empty(), "the session's next one waits");
        there.client().complete(CompleteRequest { token: lease.token, ..Default::default() }).await.unwrap();
    }
}
