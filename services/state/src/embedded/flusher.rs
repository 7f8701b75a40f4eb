//! The flusher: a thread that takes whatever is decided to the store, in one transaction, again and again. While one commit
//! is in flight the next batch gathers; there is no timer and no lingering.

mod chores;
mod release;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc as blocking},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tracing::{error, info};

use crate::{
    embedded::fences::Fences,
    embedded::shard::{Shard, Shared},
    metrics::Metrics,
    store::{Flush, Journal, Unstored},
};

pub use chores::{Chore, Chores};
use release::{Outcome, Receipt, release};

/// How long the flusher waits before it tries again what it could not store.
const HEALING: Duration = Duration::from_millis(250);

/// What the flusher and those who feed it share.
#[derive(Debug)]
pub struct Decks {
    /// By their index.
    pub shards: Vec<Arc<Shard>>,
    /// All fences.
    pub fences: Fences,
    /// What shards share.
    pub shared: Arc<Shared>,
    /// What is counted.
    pub metrics: Metrics,
    /// Sweeps that wait.
    pub chores: Chores,
}

/// The thread. Dropping it ends it without another flush, as a crash would.
#[derive(Debug)]
pub struct Flusher {
    decks: Arc<Decks>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread, and on this runtime the task that releases what it stored. `released` tells the number of the
    /// last flush that is visible.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        decks: Arc<Decks>,
        journal: Box<dyn Journal>,
        flushes: u64,
        released: tokio::sync::watch::Sender<u64>,
    ) -> std::io::Result<Self> {
        let (outcomes, finished) = mpsc::unbounded_channel();
        tokio::spawn(release(Arc::clone(&decks), finished, released));
        let worker = Worker { decks: Arc::clone(&decks), journal, flushes, outcomes };
        let thread = thread::Builder::new().name("state-flusher".into()).spawn(move || worker.run())?;
        decks.shared.bell.listen(thread.thread().clone());
        let relayed = Arc::clone(&decks);
        tokio::spawn(async move { relayed.shared.bell.relay().await });
        Ok(Self { decks, thread: Some(thread) })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.decks.shared.bell.stop();
        if let Some(thread) = self.thread.take() {
            // Its panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker {
    decks: Arc<Decks>,
    journal: Box<dyn Journal>,
    flushes: u64,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

impl Worker {
    fn run(mut self) {
        while !self.decks.shared.bell.is_stopped() {
            let (flush, receipt) = self.gather();
            if !receipt.shards.is_empty() || !receipt.fences.is_empty() {
                if self.store(&flush, receipt).is_none() {
                    return;
                }
            } else if !self.do_chores() {
                thread::park();
            }
        }
    }

    /// Fences first: what was decided before a raise is in a log by now.
    fn gather(&self) -> (Flush, Receipt) {
        let mut flush = Flush::default();
        let fences = self.decks.fences.take();
        flush.fences = fences.iter().map(|pending| pending.change.clone()).collect();
        let mut shards = Vec::new();
        for shard in self.decks.shared.bell.rung() {
            let entries = self.decks.shards[shard.index()].take(|step| flush.steps.push((shard, step)));
            if entries > 0 {
                shards.push((shard, entries));
            }
        }
        (flush, Receipt { shards, fences, flushes: self.flushes + 1 })
    }

    /// `None` when the runtime is gone, and nobody waits any more.
    fn store(&mut self, flush: &Flush, receipt: Receipt) -> Option<()> {
        let started = Instant::now();
        let mut stored = self.journal.commit(self.flushes, flush);
        self.decks.metrics.flushed(flush.steps.len(), started.elapsed());
        if let Err(unstored) = &stored {
            let was_healthy = self.decks.shared.healthy.swap(false, Relaxed);
            if was_healthy {
                error!(error = %unstored.failure, in_doubt = unstored.in_doubt, "the store takes no writes");
            }
            if unstored.in_doubt {
                let shards = receipt.shards.iter().map(|(shard, _)| *shard).collect();
                self.outcomes.send(Outcome::InDoubt { shards, unstored: unstored.clone() }).ok()?;
                stored = self.settle(unstored.clone())?;
            }
        }
        match stored {
            Ok(()) => {
                if !self.decks.shared.healthy.swap(true, Relaxed) {
                    info!("the store takes writes again");
                }
                self.flushes += 1;
                self.outcomes.send(Outcome::Stored(receipt)).ok()
            }
            Err(unstored) => {
                // Nothing may be decided on top of what is undone, so the next batch waits for the undoing.
                let (undone, done) = blocking::sync_channel(1);
                self.outcomes.send(Outcome::Failed { receipt, unstored, undone }).ok()?;
                if self.wait_for(&done)? {
                    thread::park_timeout(HEALING);
                }
                Some(())
            }
        }
    }

    /// Asks until the store can say whether the last flush is stored.
    fn settle(&mut self, unstored: Unstored) -> Option<Result<(), Unstored>> {
        while !self.decks.shared.bell.is_stopped() {
            match self.journal.flushes() {
                Ok(flushes) if flushes == self.flushes + 1 => return Some(Ok(())),
                Ok(_) => return Some(Err(Unstored { in_doubt: false, ..unstored })),
                Err(failure) => {
                    error!(error = %failure, "whether the last writes are stored cannot be said yet");
                    thread::park_timeout(HEALING);
                }
            }
        }
        None
    }

    /// The answer of the task on the runtime; `None` when it is to end, for then the runtime may be waiting for this thread.
    fn wait_for(&self, done: &blocking::Receiver<bool>) -> Option<bool> {
        while !self.decks.shared.bell.is_stopped() {
            match done.recv_timeout(HEALING) {
                Ok(stays) => return Some(stays),
                Err(blocking::RecvTimeoutError::Timeout) => {}
                Err(blocking::RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }

    fn do_chores(&mut self) -> bool {
        let chores = self.decks.chores.take();
        let any = !chores.is_empty();
        chores.into_iter().for_each(|chore| chore(&mut *self.journal));
        any
    }
}
