use std::sync::Arc;

use holdfast_proto::queue::v1::enqueue_stream_request::Call;
use holdfast_proto::queue::v1::enqueue_stream_request::call::Call as Kind;
use holdfast_proto::queue::v1::enqueue_stream_response::answer::Answer;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::{EnqueueRequest, EnqueueStreamRequest, EnqueueStreamResponse, InvocationSpec, Payload};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::load::{AGENT, telling};

const TENANT: &str = "default";
/// Calls in one message.
const MESSAGE: usize = 500;
/// Calls that are not answered yet, at most.
const OPEN_MAX: usize = 20_000;
const TELL_EVERY: usize = 100_000;

/// Enqueues so many, and waits until all are durable.
pub(super) async fn fill(url: &str, count: usize) {
    let room = Arc::new(Semaphore::new(OPEN_MAX));
    let (say, answers) = open(url).await;
    let freed = Arc::clone(&room);
    let answered = tokio::spawn(accepted(answers, move |so_far, now| {
        freed.add_permits(now);
        if so_far / TELL_EVERY > (so_far - now) / TELL_EVERY {
            telling(format!("{so_far} enqueued"));
        }
    }));
    let mut next = 0;
    while next < count {
        let calls = MESSAGE.min(count - next);
        room.acquire_many(calls as u32).await.expect("nobody closes it").forget();
        say.send(message(next, calls)).expect("the stream is open");
        next += calls;
    }
    drop(say);
    assert_eq!(answered.await.expect("it does not panic"), count, "everything is accepted");
}

/// Enqueues as many as it is told, until nobody tells it any more; then waits until all are durable and counts them.
pub(super) async fn top_up(url: &str, mut told: UnboundedReceiver<usize>) -> JoinHandle<usize> {
    let (say, answers) = open(url).await;
    let answered = tokio::spawn(accepted(answers, |_, _| ()));
    tokio::spawn(async move {
        let mut next = 0;
        while let Some(mut count) = told.recv().await {
            while let Ok(more) = told.try_recv() {
                count += more;
            }
            say.send(message(next, count)).expect("the stream is open");
            next += count;
        }
        drop(say);
        assert_eq!(answered.await.expect("it does not panic"), next, "everything is accepted");
        next
    })
}

async fn open(url: &str) -> (UnboundedSender<EnqueueStreamRequest>, Streaming<EnqueueStreamResponse>) {
    let mut queue = QueueServiceClient::connect(url.to_owned()).await.expect("the queue listens");
    let (say, said) = unbounded_channel();
    let answers = queue.enqueue_stream(UnboundedReceiverStream::new(said)).await.expect("the stream opens");
    (say, answers.into_inner())
}

/// Counts acceptances until the stream ends, which it does once all calls are answered.
async fn accepted(mut answers: Streaming<EnqueueStreamResponse>, each: impl Fn(usize, usize)) -> usize {
    let mut count = 0;
    while let Some(message) = answers.message().await.expect("the stream goes on") {
        let now = message.answers.len();
        for answer in message.answers {
            assert!(matches!(answer.answer, Some(Answer::Accepted(_))), "{answer:?}");
        }
        count += now;
        each(count, now);
    }
    count
}

fn message(first: usize, count: usize) -> EnqueueStreamRequest {
    let spec = InvocationSpec {
        agent: AGENT.into(),
        payload: Some(Payload { data: "0".into(), content_type: String::new() }),
        ..Default::default()
    };
    let request = EnqueueRequest { tenant: TENANT.into(), spec: Some(spec), traceparent: String::new() };
    let call = |id: usize| Call { call_id: id as u64, call: Some(Kind::Enqueue(request.clone())) };
    EnqueueStreamRequest { calls: (first..first + count).map(call).collect() }
}
