//! What the workers were told: which updates were acknowledged, in which order, and who was misled.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use super::Ledger;

/// The books of one side.
#[derive(Debug)]
pub(crate) struct Books {
    /// By record: the updates that were acknowledged, in that order.
    acknowledged: Vec<Mutex<Vec<u64>>>,
    /// When work on an invocation first began.
    begun: Mutex<HashMap<u64, Instant>>,
    write_timeouts: AtomicU64,
    /// Whether work that stops now stops because its worker is killed.
    is_cut_off: AtomicBool,
    cut_off: Mutex<CutOff>,
}

/// What killed workers had in hand.
#[derive(Debug, Default)]
struct CutOff {
    /// All of it, ever.
    all: HashSet<u64>,
    /// What nobody has begun again.
    lying: HashSet<u64>,
}

/// An invocation in hand, until this is dropped: by whoever has done with it, or by the end of its worker.
#[derive(Debug)]
pub(crate) struct InHand {
    books: Arc<Books>,
    number: u64,
    is_done: bool,
}

impl Books {
    pub(crate) fn new(records: u64) -> Self {
        Self {
            acknowledged: (0..records).map(|_| Mutex::default()).collect(),
            begun: Mutex::default(),
            write_timeouts: AtomicU64::new(0),
            is_cut_off: AtomicBool::new(false),
            cut_off: Mutex::default(),
        }
    }

    /// Work on an invocation begins, for the first time or again.
    pub(crate) fn begin(self: &Arc<Self>, number: u64) -> InHand {
        self.begun.lock().entry(number).or_insert_with(Instant::now);
        self.cut_off.lock().lying.remove(&number);
        InHand { books: Arc::clone(self), number, is_done: false }
    }

    /// From now on, or not any more, work stops because workers are killed.
    pub(crate) fn cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.store(is_cut_off, Relaxed);
    }

    /// How many invocations killed workers had in hand, and how many of those nobody has begun again.
    pub(crate) fn count_cut_off(&self) -> (u64, u64) {
        let cut_off = self.cut_off.lock();
        (cut_off.all.len() as u64, cut_off.lying.len() as u64)
    }

    /// When it first began.
    pub(crate) fn begun(&self, number: u64) -> Option<Instant> {
        self.begun.lock().get(&number).copied()
    }

    /// An update was acknowledged; a second attempt's is the same one.
    pub(crate) fn acknowledge(&self, record: u64, update: u64) {
        let mut updates = self.of(record).lock();
        if !updates.contains(&update) {
            updates.push(update);
        }
    }

    /// How many updates of a record are acknowledged: whoever reads it from now on must find them all.
    pub(crate) fn known(&self, record: u64) -> usize {
        self.of(record).lock().len()
    }

    /// Whether what was read lacks one of the first `known` updates.
    pub(crate) fn misleads(&self, record: u64, known: usize, read: &Ledger) -> bool {
        self.of(record).lock()[..known].iter().any(|update| !read.has(*update))
    }

    /// The acknowledged updates that a record does not hold.
    pub(crate) fn lost(&self, record: u64, held: &Ledger) -> u64 {
        self.of(record).lock().iter().filter(|update| !held.has(**update)).count() as u64
    }

    /// A write was given up.
    pub(crate) fn give_up_write(&self) {
        self.write_timeouts.fetch_add(1, Relaxed);
    }

    /// Writes that were given up.
    pub(crate) fn write_timeouts(&self) -> u64 {
        self.write_timeouts.load(Relaxed)
    }

    fn of(&self, record: u64) -> &Mutex<Vec<u64>> {
        &self.acknowledged[record as usize % self.acknowledged.len()]
    }
}

impl InHand {
    /// The worker has done with it, well or not, and says so itself.
    pub(crate) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if self.is_done || !self.books.is_cut_off.load(Relaxed) {
            return;
        }
        let mut cut_off = self.books.cut_off.lock();
        cut_off.all.insert(self.number);
        cut_off.lying.insert(self.number);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_that_was_overwritten_is_lost_and_misleads_whoever_reads_afterwards() {
        let books = Books::new(2);
        books.acknowledge(1, 7);
        let before = books.known(1);
        books.acknowledge(1, 8);
        let overwritten = Ledger::read(Some(json!({"updates": [8]})));
        assert_eq!((books.lost(1, &overwritten), books.lost(0, &overwritten)), (1, 0));
        assert!(books.misleads(1, before, &overwritten));
        assert!(!books.misleads(1, 0, &overwritten), "who read before it was acknowledged could not know it");
        assert!(!books.misleads(1, 2, &Ledger::read(Some(json!({"updates": [7, 8]})))));
    }

    #[test]
    fn an_invocation_begins_once() {
        let books = Arc::new(Books::new(1));
        books.begin(3).done();
        let first = books.begun(3);
        books.begin(3).done();
        assert!(first.is_some() && books.begun(3) == first && books.begun(4).is_none());
    }

    #[test]
    fn what_a_killed_worker_had_in_hand_lies_there_until_somebody_begins_again() {
        let books = Arc::new(Books::new(1));
        drop(books.begin(1));
        assert_eq!(books.count_cut_off(), (0, 0), "a lease that was lost is not a worker that was killed");
        let (first, second, done) = (books.begin(1), books.begin(2), books.begin(3));
        books.cut_off(true);
        done.done();
        drop((first, second));
        books.cut_off(false);
        assert_eq!(books.count_cut_off(), (2, 2));
        books.begin(2).done();
        assert_eq!(books.count_cut_off(), (2, 1));
    }
}
