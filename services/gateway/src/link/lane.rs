//! The table of open calls, shared by the callers' tasks and the stream to the queue: a caller puts its call in and waits;
//! the stream, polled by its connection, takes whatever is there. No task and no channel stands between the two.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use holdfast_proto::queue::v1 as pb;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::call::{CallError, Limits, Reply};
use super::calls::Calls;
use crate::allowance::Account;

/// A cheap handle on the calls that are on their way to the queue.
#[derive(Clone)]
pub(crate) struct Lane {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    calls: Calls,
    /// The newest stream; older ones end when they are polled.
    stream: u64,
    waker: Option<Waker>,
}

impl Lane {
    /// A lane whose queue counts as gone until a stream is open.
    pub(crate) fn new(limits: Limits) -> Self {
        let calls = Calls::new(limits, Instant::now().into_std());
        Self { shared: Arc::new(Mutex::new(Shared { calls, stream: 0, waker: None })) }
    }

    /// Puts a call in; it goes out with the next message. `waits` asks for the invocation's end too, and `own` is what its
    /// tenant's requests hold.
    pub(crate) fn open(
        &self,
        request: pb::EnqueueRequest,
        waits: bool,
        own: &Arc<Account>,
    ) -> Result<Ticket, CallError> {
        let (reply, outcome) = oneshot::channel();
        let now = Instant::now().into_std();
        let id = self.change(|shared| shared.calls.open(request, waits, own, now, reply))?;
        Ok(Ticket { lane: self.clone(), id, outcome })
    }

    /// The outgoing half of a new stream; it replaces the one before.
    pub(super) fn outgoing(&self) -> Outgoing {
        let stream = self.change(|shared| {
            shared.stream += 1;
            shared.stream
        });
        Outgoing { lane: self.clone(), stream }
    }

    pub(super) fn connected(&self) {
        self.change(|shared| shared.calls.connected(Instant::now().into_std()));
    }

    pub(super) fn disconnected(&self, retry_in: Duration) {
        let now = Instant::now().into_std();
        self.shared.lock().calls.disconnected(now, now + retry_in);
    }

    pub(super) fn hear(&self, message: pb::EnqueueStreamResponse) {
        self.shared.lock().calls.hear(message.answers, Instant::now().into_std());
    }

    pub(super) fn stalled(&self, limit: Duration) -> bool {
        self.shared.lock().calls.stalled(Instant::now().into_std(), limit)
    }

    /// Asks again for what the queue could not do before.
    pub(super) fn unpark(&self) {
        self.change(|shared| shared.calls.unpark());
    }

    /// Calls open now.
    pub(super) fn len(&self) -> usize {
        self.shared.lock().calls.len()
    }

    /// Changes the table and lets the stream look at it.
    fn change<R>(&self, change: impl FnOnce(&mut Shared) -> R) -> R {
        let mut shared = self.shared.lock();
        let result = change(&mut shared);
        let waker = shared.waker.take();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

/// A call under way. Dropping it tells the queue, where needed, that nobody waits any more.
pub(crate) struct Ticket {
    lane: Lane,
    id: u64,
    outcome: oneshot::Receiver<Result<Reply, CallError>>,
}

impl Ticket {
    /// The answer; cancel safe.
    pub(crate) async fn outcome(&mut self) -> Result<Reply, CallError> {
        let gone = CallError::Unreachable { retry_after: Duration::ZERO, maybe_accepted: true };
        (&mut self.outcome).await.unwrap_or(Err(gone))
    }

    /// The invocation, once it is accepted.
    pub(crate) fn invocation_id(&self) -> Option<String> {
        self.lane.shared.lock().calls.invocation_id(self.id)
    }

    /// Whether the queue may know of the call by now.
    pub(crate) fn was_sent(&self) -> bool {
        self.lane.shared.lock().calls.was_sent(self.id)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut shared = self.lane.shared.lock();
        // A call that was answered, as most are, leaves nothing to be sent: its stream sleeps on.
        let waker = shared.calls.close(self.id).then(|| shared.waker.take()).flatten();
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The outgoing half of a stream to the queue.
pub(super) struct Outgoing {
    lane: Lane,
    stream: u64,
}

impl Stream for Outgoing {
    type Item = pb::EnqueueStreamRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = self.lane.shared.lock();
        if shared.stream != self.stream {
            return Poll::Ready(None);
        }
        match shared.calls.take(Instant::now().into_std()) {
            Some(message) => Poll::Ready(Some(message)),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use pb::enqueue_stream_response::Answer;
    use pb::enqueue_stream_response::answer::Answer as What;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn the_stream_is_woken_for_what_is_to_be_sent_and_for_nothing_else() {
        let lane = Lane::new(Limits {
            calls_max: 10,
            waits_max: 10,
            bytes_max: 1_000,
            message_calls_max: 10,
            message_bytes: 1_000,
            resend_within: Duration::ZERO,
        });
        let mut outgoing = lane.outgoing();
        lane.connected();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut sleeps = move || Pin::new(&mut outgoing).poll_next(&mut Context::from_waker(&waker)).is_pending();
        let count = || woken.0.load(Ordering::Relaxed);
        assert!(sleeps());

        let open = || lane.open(pb::EnqueueRequest::default(), true, &Account::new(0)).expect("there is room");
        let (answered, left) = (open(), open());
        assert_eq!((count(), sleeps(), sleeps()), (1, false, true), "both go out");
        let answer = Answer { call_id: 1, answer: Some(What::Ended(Box::default())) };
        lane.hear(pb::EnqueueStreamResponse { answers: vec![answer] });
        drop(answered);
        assert_eq!(count(), 1, "nothing is to be sent");
        drop(left);
        assert_eq!((count(), sleeps()), (2, false), "the queue waits for nobody");
    }
}
