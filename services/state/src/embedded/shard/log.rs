//! A shard's log: what is decided and not stored yet, in the order of decision.

use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::Stored;
use crate::store::Step;

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) step: Arc<Step>,
    /// About what it holds in memory.
    pub(super) bytes: usize,
    /// Whoever waits for the store; `None` for a CACHED write, which is acknowledged already.
    pub(super) ack: Option<oneshot::Sender<Stored>>,
    /// The claim on its write id, released with it.
    pub(super) claim: Option<Uuid>,
    decided: Instant,
}

impl Entry {
    pub(super) fn new(
        step: Arc<Step>,
        bytes: usize,
        ack: Option<oneshot::Sender<Stored>>,
        claim: Option<Uuid>,
    ) -> Self {
        Self { step, bytes, ack, claim, decided: Instant::now() }
    }

    /// Acknowledged before it is stored: it must reach the store, whatever fails meanwhile.
    pub(super) fn is_cached(&self) -> bool {
        self.ack.is_none()
    }
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// Entries from the front that the flusher has in hand.
    taken: usize,
}

impl Log {
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.decided)
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.entries.iter().map(|entry| &*entry.step)
    }

    /// CACHED entries, newest first.
    pub(super) fn cached_newest_first(&self) -> impl Iterator<Item = &Step> {
        self.entries.iter().rev().filter(|entry| entry.is_cached()).map(|entry| &*entry.step)
    }

    /// All that the flusher does not have yet.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Arc<Step>> {
        let from = std::mem::replace(&mut self.taken, self.entries.len());
        self.entries.iter().skip(from).map(|entry| Arc::clone(&entry.step))
    }

    /// The oldest entries, which are stored now.
    pub(super) fn stored(&mut self, entries: usize) -> Vec<Entry> {
        self.taken -= entries;
        self.entries.drain(..entries).collect()
    }

    /// The flush failed: nothing of the log is stored. What is not acknowledged leaves it, what is stays for the next
    /// flush, in its order.
    pub(super) fn unstored(&mut self) -> Vec<Entry> {
        self.taken = 0;
        let (kept, failed) = std::mem::take(&mut self.entries).into_iter().partition(Entry::is_cached);
        self.entries = kept;
        Vec::from(failed)
    }

    /// Acknowledges with a failure what the flusher has in hand, while whether it is stored is not known.
    pub(super) fn in_doubt(&mut self) -> impl Iterator<Item = oneshot::Sender<Stored>> {
        // The entry stays synchronous: a closed channel stands in for who is told already.
        let told = || oneshot::channel().0;
        self.entries
            .iter_mut()
            .take(self.taken)
            .filter_map(move |entry| entry.ack.as_mut().map(|ack| std::mem::replace(ack, told())))
    }
}
