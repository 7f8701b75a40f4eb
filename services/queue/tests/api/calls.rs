use std::collections::HashMap;

use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::status;
use pb::enqueue_stream_request::call::Call as Ask;
use pb::enqueue_stream_request::{Call, Forget, WaitRequest};
use pb::enqueue_stream_response::answer::Answer;
use pb::{CompleteRequest, EnqueueRequest, EnqueueStreamRequest, InvocationSpec, InvocationState};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Streaming};

use crate::harness::{Harness, PATIENCE, payload, spec};

/// A client of the many-calls stream.
pub(crate) struct Calls {
    up: Option<mpsc::UnboundedSender<EnqueueStreamRequest>>,
    down: Streaming<pb::EnqueueStreamResponse>,
    heard: std::collections::VecDeque<(u64, Answer)>,
}

impl Calls {
    pub(crate) async fn open(queue: &Harness) -> Self {
        let (up, requests) = mpsc::unbounded_channel();
        let down = queue.client().enqueue_stream(UnboundedReceiverStream::new(requests)).await.unwrap().into_inner();
        Self { up: Some(up), down, heard: Default::default() }
    }

    pub(crate) fn send(&self, calls: Vec<(u64, Ask)>) {
        let calls = calls.into_iter().map(|(call_id, call)| Call { call_id, call: Some(call) }).collect();
        self.up.as_ref().expect("it asks still").send(EnqueueStreamRequest { calls }).unwrap();
    }

    pub(crate) async fn next(&mut self) -> Option<(u64, Answer)> {
        while self.heard.is_empty() {
            let message =
                tokio::time::timeout(PATIENCE, self.down.message()).await.expect("an answer comes").unwrap()?;
            self.heard.extend(message.answers.into_iter().map(|answer| (answer.call_id, answer.answer.unwrap())));
        }
        self.heard.pop_front()
    }

    async fn accepted(&mut self) -> (u64, pb::EnqueueResponse) {
        match self.next().await {
            Some((call_id, Answer::Accepted(accepted))) => (call_id, accepted),
            other => panic!("an acceptance was expected, not {other:?}"),
        }
    }

    async fn ended(&mut self) -> (u64, pb::Invocation) {
        match self.next().await {
            Some((call_id, Answer::Ended(ended))) => (call_id, *ended),
            other => panic!("an end was expected, not {other:?}"),
        }
    }

    async fn refused(&mut self) -> (u64, tonic::Status) {
        match self.next().await {
            Some((call_id, Answer::Status(bytes))) => (call_id, status::from_bytes(&bytes)),
            other => panic!("a refusal was expected, not {other:?}"),
        }
    }
}

pub(crate) fn request(spec: InvocationSpec) -> EnqueueRequest {
    EnqueueRequest { spec: Some(spec), ..Default::default() }
}

fn wait(id: &str) -> Ask {
    Ask::Wait(WaitRequest { tenant: String::new(), invocation_id: id.into() })
}

#[tokio::test]
async fn many_calls_share_a_stream_and_each_is_answered_by_its_id() {
    let queue = Harness::start().await;
    let mut calls = Calls::open(&queue).await;
    calls.send((1..=200).map(|n| (n, Ask::Enqueue(request(spec())))).collect());
    let mut answers = HashMap::new();
    for _ in 0..200 {
        let (call_id, accepted) = calls.accepted().await;
        assert!(accepted.created);
        answers.insert(call_id, accepted.invocation_id);
    }
    assert_eq!(answers.len(), 200);
    assert_eq!(queue.lease_now(500).await.len(), 200);
}

#[tokio::test]
async fn who_waits_gets_the_end_without_the_input() {
    let queue = Harness::start().await;
    let mut calls = Calls::open(&queue).await;
    calls.send(vec![(1, Ask::EnqueueAndWait(request(spec())))]);
    let (_, accepted) = calls.accepted().await;
    calls.send(vec![(2, wait(&accepted.invocation_id))]);
    let lease = queue.lease_one().await;
    let complete = CompleteRequest { token: lease.token, result: Some(payload("done")), usage: None };
    queue.client().complete(complete).await.unwrap();
    for _ in 0..2 {
        let (_, ended) = calls.ended().await;
        assert_eq!((ended.id.as_str(), ended.state()), (accepted.invocation_id.as_str(), InvocationState::Succeeded));
        assert_eq!(ended.result, Some(payload("done")));
        assert_eq!(ended.spec.unwrap().payload, None);
    }
    calls.send(vec![(3, wait(&accepted.invocation_id))]);
    assert_eq!(calls.ended().await.0, 3, "what has ended already is told at once");
}

#[tokio::test]
async fn a_repeat_that_waits_gets_the_first_ones_end() {
    let queue = Harness::start().await;
    let mut calls = Calls::open(&queue).await;
    let keyed = InvocationSpec { idempotency_key: "k".into(), ..spec() };
    calls.send(vec![(1, Ask::EnqueueAndWait(request(keyed.clone())))]);
    let (_, first) = calls.accepted().await;
    calls.send(vec![(2, Ask::EnqueueAndWait(request(keyed.clone())))]);
    let (call_id, second) = calls.accepted().await;
    assert_eq!((call_id, second.created), (2, false));
    assert_eq!(first.invocation_id, second.invocation_id);
    let token = queue.lease_one().await.token;
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    let mut told = [calls.ended().await.0, calls.ended().await.0];
    told.sort_unstable();
    assert_eq!(told, [1, 2]);
    let other = InvocationSpec { payload: Some(payload("other")), ..keyed };
    calls.send(vec![(3, Ask::EnqueueAndWait(request(other)))]);
    assert_eq!(calls.refused().await.1.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_refused_call_leaves_the_others_alone() {
    let queue = Harness::start().await;
    let mut calls = Calls::open(&queue).await;
    let bad = InvocationSpec { agent: String::new(), ..spec() };
    calls.send(vec![
        (1, Ask::Enqueue(request(bad))),
        (2, wait(&holdfast_rpc::id::new())),
        (3, Ask::Enqueue(request(spec()))),
    ]);
    let mut codes = HashMap::new();
    for _ in 0..3 {
        match calls.next().await.unwrap() {
            (call_id, Answer::Status(bytes)) => codes.insert(call_id, status::from_bytes(&bytes).code()),
            (call_id, Answer::Accepted(_)) => codes.insert(call_id, Code::Ok),
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(codes, HashMap::from([(1, Code::InvalidArgument), (2, Code::NotFound), (3, Code::Ok)]));
}

#[tokio::test]
async fn nobody_waits_for_another_tenants_end() {
    let queue = Harness::start().await;
    let id = queue.enqueue(spec()).await;
    let mut calls = Calls::open(&queue).await;
    calls.send(vec![(1, Ask::Wait(WaitRequest { tenant: "two".into(), invocation_id: id }))]);
    assert_eq!(calls.refused().await.1.code(), Code::NotFound);
}

#[tokio::test]
async fn a_forgotten_wait_hears_nothing() {
    let queue = Harness::start().await;
    let mut calls = Calls::open(&queue).await;
    calls.send(vec![(1, Ask::EnqueueAndWait(request(spec())))]);
    let (_, accepted) = calls.accepted().await;
    calls.send(vec![(1, Ask::Forget(Forget {})), (2, wait(&accepted.invocation_id))]);
    let token = queue.lease_one().await.token;
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    assert_eq!(calls.ended().await.0, 2);
    calls.send(vec![(3, wait(&accepted.invocation_id))]);
    assert_eq!(calls.ended().await.0, 3, "nothing came for the first");
}

#[tokio::test]
async fn a_client_that_asks_no_more_still_gets_its_answers() {
    let queue = Harness::start().await;
    let mut calls = Calls::open(&queue).await;
    calls.send(vec![(1, Ask::EnqueueAndWait(request(spec())))]);
    calls.accepted().await;
    calls.up = None;
    let token = queue.lease_one().await.token;
    queue.client().complete(CompleteRequest { token, ..Default::default() }).await.unwrap();
    assert_eq!(calls.ended().await.0, 1);
    assert!(calls.next().await.is_none(), "then the stream ends");
}

#[tokio::test]
async fn a_stream_has_a_limit_of_open_calls() {
    let queue = Harness::with("calls_per_stream_max = 2").await;
    let mut calls = Calls::open(&queue).await;
    calls.send((1..=2).map(|n| (n, Ask::EnqueueAndWait(request(spec())))).collect());
    calls.accepted().await;
    calls.accepted().await;
    calls.send(vec![(3, Ask::Enqueue(request(spec())))]);
    let (call_id, refused) = calls.refused().await;
    assert_eq!((call_id, refused.code()), (3, Code::ResourceExhausted));
    assert!(status::retry_after(&refused).is_some());
}

#[tokio::test]
async fn a_result_that_many_wait_for_reaches_all_of_them() {
    let queue = Harness::with("unread_bytes_max = \"2MiB\"").await;
    let id = queue.enqueue(spec()).await;
    let mut calls = Calls::open(&queue).await;
    calls.send((1..=40).map(|call| (call, wait(&id))).chain([(41, Ask::Enqueue(request(spec())))]).collect());
    // By then the queue has heard all of them.
    assert_eq!(calls.accepted().await.0, 41);
    let token = queue.lease_one().await.token;
    let result = Some(payload(&"x".repeat(512 << 10)));
    queue.client().complete(CompleteRequest { token, result, usage: None }).await.unwrap();
    for _ in 0..40 {
        assert_eq!(calls.ended().await.1.id, id);
    }
}
