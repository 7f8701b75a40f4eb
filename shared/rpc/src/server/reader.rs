//! Who reads an answer. A connection asks a body for more only when its peer makes room for it, so a body alone cannot end
//! for a peer that never does: what drives the call is held to a time, and is dropped with all that the call holds.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::task::TaskTracker;

tokio::task_local! {
    static READER: Arc<Reader>;
}

/// The peer of one call, or of one connection over HTTP/1.1, as its answer sees it.
#[derive(Debug, Default)]
pub(crate) struct Reader(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when a part of the answer lies there that was not taken; none while the answer itself has to come first.
    waited_for: Option<Instant>,
    deadline: Option<Instant>,
}

impl Reader {
    /// The reader of the call that this task drives.
    pub(crate) fn current() -> Option<Arc<Self>> {
        READER.try_with(Arc::clone).ok()
    }

    /// An answer is there, and nothing of it was asked for yet.
    pub(crate) fn offered(&self, deadline: Option<Instant>) {
        *self.0.lock() = State { waited_for: Some(Instant::now()), deadline };
    }

    /// It took all that there was, and it is not its fault that there is no more.
    pub(crate) fn took_all(&self) {
        self.0.lock().waited_for = None;
    }

    /// It was given a part of the answer.
    pub(crate) fn given(&self) {
        self.0.lock().waited_for = Some(Instant::now());
    }

    /// When the call ends unless it takes something.
    fn limit(&self, slow_max: Duration) -> Option<Instant> {
        let state = self.0.lock();
        let limit = state.waited_for? + slow_max;
        Some(state.deadline.map_or(limit, |deadline| deadline.min(limit)))
    }
}

/// Drives a call, or a connection, until its reader has stood still for `slow_max`, or until the call's deadline while it
/// does. None when it was given up.
pub(super) async fn bounded<F: Future>(driven: F, slow_max: Duration) -> Option<F::Output> {
    let mut driven = pin!(driven);
    let reader = Arc::new(Reader::default());
    let mut alarm = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = READER.sync_scope(reader.clone(), || driven.as_mut().poll(cx)) {
            return Poll::Ready(Some(output));
        }
        match reader.limit(slow_max) {
            Some(limit) => rings(&mut alarm, limit, cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

fn rings(alarm: &mut Option<Pin<Box<Sleep>>>, limit: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(limit)));
    if alarm.deadline() != limit {
        alarm.as_mut().reset(limit);
    }
    alarm.as_mut().poll(cx)
}

/// The calls of one connection over HTTP/2, each in a task of its own and held to its reader's time.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    slow_max: Duration,
    open: TaskTracker,
}

impl Calls {
    pub(super) fn new(slow_max: Duration) -> Self {
        Self { slow_max, open: TaskTracker::new() }
    }

    /// Ends once all are over, and whoever reads has had its time for what the last of them left.
    pub(super) async fn over(&self) {
        self.open.close();
        loop {
            self.open.wait().await;
            sleep(self.slow_max).await;
            if self.open.is_empty() {
                return;
            }
        }
    }
}

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let slow_max = self.slow_max;
        // Ends with the call. One that is given up is reset, and what lay there for its reader goes with it.
        self.open.spawn(async move {
            if bounded(call, slow_max).await.is_none() {
                tracing::debug!("a call was given up: nobody takes its answer");
            }
        });
    }
}
