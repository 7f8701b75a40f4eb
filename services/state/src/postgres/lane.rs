//! The lanes: each a thread with a connection of its own, which commits whatever has queued as one transaction. A shard's
//! orders take one lane. Where another transaction works on a shard, its orders go to the patient lane, which waits: so a slow
//! process delays what concerns its own shards only.

use std::sync::Arc;
use std::time::Duration;

use holdfast_storage::{
    Batch, Class, Failure, Ledger, OpenError, Postgres, Writer, WriterOptions,
    gate::{Gate, Pass, judge_together, silence},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{embedded::window::Window, failed::Failed, metrics::Metrics, store::Unstored};

use super::RETRY_AFTER;

/// Orders in one transaction: bounds how long the first of them waits, and what is loaded to decide them.
const BATCH_MAX: usize = 128;

/// Who waits for an order's answer.
pub(super) struct Tag<A> {
    pass: Pass,
    waiter: oneshot::Sender<Result<A, Failure>>,
    _seat: Arc<Seat>,
}

/// A call's part of what may wait. It is given back when nobody waits any more, and the lane has answered what it was asked.
pub(super) struct Seat {
    window: Arc<Window>,
    bytes: usize,
}

impl Seat {
    /// A seat, if there is room.
    ///
    /// # Errors
    /// [`Failed::Full`].
    pub(super) fn take(window: &Arc<Window>, bytes: usize) -> Result<Arc<Self>, Failed> {
        if !window.admits(bytes) {
            return Err(Failed::Full { retry_after: RETRY_AFTER });
        }
        window.enter(bytes, false);
        Ok(Arc::new(Self { window: Arc::clone(window), bytes }))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.window.leave(self.bytes, false);
    }
}

/// One lane.
pub(super) struct Lane<C, A> {
    writer: Writer<Tag<A>, C>,
    gate: Arc<Gate>,
    end: CancellationToken,
}

/// What all lanes share.
pub(super) struct Start<'s> {
    pub(super) database: &'s Postgres,
    pub(super) gate: Arc<Gate>,
    /// What may wait, all together.
    pub(super) window: Arc<Window>,
    pub(super) metrics: Metrics,
    pub(super) end: CancellationToken,
}

impl Start<'_> {
    /// Starts a lane's thread, and on this runtime the task that hands its answers out.
    pub(super) fn lane<L: Ledger>(
        &self,
        name: &'static str,
        ledger: L,
    ) -> Result<Lane<L::Command, L::Answer>, OpenError> {
        let (batches, mut committed) = mpsc::unbounded_channel::<Batch<Tag<L::Answer>, L::Answer>>();
        let metrics = self.metrics.clone();
        tokio::spawn(async move {
            while let Some(batch) = committed.recv().await {
                metrics.flushed(batch.answers.len(), batch.took);
                hand_out(batch);
            }
        });
        let deliver = move |batch| {
            // Without the runtime nobody waits any more.
            let _ = batches.send(batch);
        };
        let waiting = self.window.limits().waiting;
        let count = |most: u64| usize::try_from(most).unwrap_or(usize::MAX);
        let options = WriterOptions {
            name,
            waiting_max: count(waiting.writes),
            bytes_max: count(waiting.bytes),
            batch_max: BATCH_MAX,
            busy_poll: Duration::ZERO,
        };
        let writer = Writer::start_on_postgres(options, self.database, ledger, deliver)?;
        Ok(Lane { writer, gate: Arc::clone(&self.gate), end: self.end.clone() })
    }
}

impl<C: Send + 'static, A: Send + 'static> Lane<C, A> {
    /// What becomes of an order.
    ///
    /// # Errors
    /// The database is in trouble, or too much waits for it.
    pub(super) async fn ask(&self, order: C, seat: &Arc<Seat>) -> Result<A, Failed> {
        let pass = self.gate.pass()?;
        let (waiter, answer) = oneshot::channel();
        let tag = Tag { pass: pass.clone(), waiter, _seat: Arc::clone(seat) };
        if let Err(refused) = self.writer.submit(tag, order) {
            pass.void();
            return Err(match refused.failure.class() {
                Class::Overloaded => Failed::Full { retry_after: RETRY_AFTER },
                _ => self.fallen(false),
            });
        }
        match pass.wait(answer).await {
            Some(Ok(Ok(answer))) => Ok(answer),
            Some(Ok(Err(failure))) => {
                let in_doubt = failure.may_have_happened();
                Err(Failed::Store(Unstored { failure, in_doubt }))
            }
            Some(Err(_)) => Err(self.fallen(true)),
            None => Err(Failed::Store(Unstored { failure: silence(), in_doubt: true })),
        }
    }

    /// The lane's thread has ended: the process is of no use any more.
    fn fallen(&self, in_doubt: bool) -> Failed {
        self.end.cancel();
        Failed::Closed { in_doubt }
    }
}

fn hand_out<A>(batch: Batch<Tag<A>, A>) {
    judge_together(batch.answers.iter().map(|(tag, answer)| (&tag.pass, answer.as_ref().err())));
    for (tag, answer) in batch.answers {
        // A caller that went away needs no answer.
        let _ = tag.waiter.send(answer);
    }
}
