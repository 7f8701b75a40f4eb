//! The place of decision in the memory of one process, over the files of one machine.

mod bell;
mod close;
mod deciding;
pub mod fences;
mod fencing;
pub mod flusher;
mod reads;
mod repeat;
pub mod shard;
pub mod upkeep;
pub mod window;
mod writes;

use std::sync::Arc;

use holdfast_storage::Failure;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::warn;

use crate::{
    config::Config,
    domain::ShardId,
    embedded::fences::Fences,
    embedded::flusher::{Chores, Decks, Flusher},
    embedded::shard::{Shard, Shared},
    embedded::window::Window,
    metrics::Metrics,
    store::{LostEpoch, Opened, Shelf},
};

/// The place, and its flusher.
#[derive(Clone)]
pub struct Embedded {
    decks: Arc<Decks>,
    shelf: Arc<dyn Shelf>,
    /// The last flush that is visible.
    released: watch::Receiver<u64>,
    epochs: Arc<Mutex<Arc<crate::domain::Epochs>>>,
    flusher: Arc<Mutex<Option<Flusher>>>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("waiting", &self.decks.shared.window.waiting()).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Starts on an opened store. Dropping the last clone without [`Self::close`] is a crash: what is not stored is gone.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(opened: Opened, config: &Config) -> std::io::Result<Self> {
        let Opened { journal, shelf, recovered, backend } = opened;
        let metrics = Metrics::new(backend);
        report(&metrics, recovered.lost.as_ref());
        let shared = Arc::new(Shared::new(Window::new(config.window()), &recovered));
        let epochs = Arc::new(recovered.epochs);
        let shards = ShardId::all().zip(recovered.floors).map(|(id, floor)| {
            Arc::new(Shard::new(id, Arc::clone(&shared), Arc::clone(&epochs), floor, config.cache_share()))
        });
        let decks = Arc::new(Decks {
            shards: shards.collect(),
            fences: Fences::new(config.fences_cached, recovered.fence_floor),
            shared,
            metrics,
            chores: Chores::default(),
        });
        let (released, visible) = watch::channel(recovered.flushes);
        let flusher = Flusher::start(Arc::clone(&decks), journal, recovered.flushes, released)?;
        Ok(Self {
            decks,
            shelf,
            released: visible,
            epochs: Arc::new(Mutex::new(epochs)),
            flusher: Arc::new(Mutex::new(Some(flusher))),
        })
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.decks.metrics
    }

    /// What the background duties work on.
    pub(crate) fn decks(&self) -> &Arc<Decks> {
        &self.decks
    }

    pub(crate) fn shelf(&self) -> &dyn Shelf {
        &*self.shelf
    }

    /// Makes lost epochs whose time is over count as folded: in the store first, then here.
    pub(crate) async fn fold_epochs(&self, horizon: crate::domain::Micros) -> Result<usize, Failure> {
        let due = self.epochs.lock().due(horizon);
        if due.is_empty() {
            return Ok(0);
        }
        let folded = due.clone();
        match self.decks.chore(move |journal| journal.fold_epochs(&folded)).await {
            Some(stored) => stored?,
            None => return Ok(0),
        }
        let mut epochs = self.epochs.lock();
        let mut next = (**epochs).clone();
        due.iter().for_each(|epoch| next.fold(*epoch));
        *epochs = Arc::new(next);
        self.decks.shards.iter().for_each(|shard| shard.learn(&epochs));
        Ok(due.len())
    }

    /// The faults that are planted in it.
    #[cfg(feature = "planted-faults")]
    pub fn faults(&self) -> &crate::faults::FaultPlan {
        &self.decks.shared.faults
    }
}

/// A loss is told at once, not only when somebody presents a lost version.
fn report(metrics: &Metrics, lost: Option<&LostEpoch>) {
    metrics.epoch_lost(lost);
    if let Some(lost) = lost {
        let shards: Vec<_> = lost.shards.iter().map(|shard| shard.index()).collect();
        warn!(
            epoch = %lost.ended.epoch,
            ?shards,
            writes_max = lost.bound.writes,
            bytes_max = lost.bound.bytes,
            "the service ended without storing its CACHED writes: the newest of these shards may be lost, so many at most"
        );
    }
}
