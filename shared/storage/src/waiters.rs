//! Writers whose callers wait, each for its own answer.

use tokio::sync::{mpsc, oneshot};

use crate::{Batch, Class, Failure, Writer};

/// A tag that one caller waits on.
pub type Waiter<A> = oneshot::Sender<Result<A, Failure>>;

/// Carries each batch to the runtime in one message and answers its waiters from there: a wake-up of the runtime for
/// each waiter would cost more than the commit. Spawn the future; it ends with the writer.
pub fn waiters<A: Send + 'static>()
-> (impl FnMut(Batch<Waiter<A>, A>) + Send + 'static, impl Future<Output = ()> + Send + 'static) {
    let (batches, mut committed) = mpsc::unbounded_channel::<Batch<Waiter<A>, A>>();
    let deliver = move |batch| {
        // Without the runtime nobody waits any more.
        let _ = batches.send(batch);
    };
    let answer = async move {
        while let Some(batch) = committed.recv().await {
            for (waiter, answer) in batch.answers {
                // A caller that went away is no concern of the store's.
                let _ = waiter.send(answer);
            }
        }
    };
    (deliver, answer)
}

/// A writer whose callers wait for their answers.
pub type Waiters<C, A> = Writer<Waiter<A>, C>;

impl<C: Send + 'static, A: Send + 'static> Waiters<C, A> {
    /// Submits a command and waits until it is stored.
    ///
    /// # Errors
    /// What the store met; [`Class::Closed`] when the writer is gone.
    pub async fn call(&self, command: C) -> Result<A, Failure> {
        let (waiter, answer) = oneshot::channel();
        self.submit(waiter, command).map_err(|refused| refused.failure)?;
        answer.await.unwrap_or_else(|_| Err(Failure::new(Class::Closed, "it is closed")))
    }
}
