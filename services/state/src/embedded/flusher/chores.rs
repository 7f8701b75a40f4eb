//! Work on the store that is not a flush.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Decks;
use crate::store::Journal;

/// One piece of it: a sweep.
pub type Chore = Box<dyn FnOnce(&mut dyn Journal) + Send>;

/// Sweeps that wait for the flusher.
#[derive(Default)]
pub struct Chores(Mutex<Vec<Chore>>);

impl std::fmt::Debug for Chores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} chores", self.0.lock().len())
    }
}

impl Decks {
    /// Lets the flusher's thread do something with its journal; `None` when it has ended.
    pub async fn chore<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Journal) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, done) = oneshot::channel();
        let chore: Chore = Box::new(move |journal| {
            // Whoever asked may be gone; the work is done all the same.
            let _ = reply.send(work(journal));
        });
        self.chores.0.lock().push(chore);
        self.shared.bell.wake();
        done.await.ok()
    }
}

impl Chores {
    /// All that wait.
    pub(super) fn take(&self) -> Vec<Chore> {
        std::mem::take(&mut self.0.lock())
    }
}
