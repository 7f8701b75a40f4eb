//! What the workers were told: which updates were acknowledged, in which order, and who was misled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
}

impl Books {
    pub(crate) fn new(records: u64) -> Self {
        Self {
            acknowledged: (0..records).map(|_| Mutex::default()).collect(),
            begun: Mutex::default(),
            write_timeouts: AtomicU64::new(0),
        }
    }

    /// Work on an invocation begins, for the first time or again.
    pub(crate) fn begin(&self, number: u64) {
        self.begun.lock().entry(number).or_insert_with(Instant::now);
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
        let books = Books::new(1);
        books.begin(3);
        let first = books.begun(3);
        books.begin(3);
        assert!(first.is_some() && books.begun(3) == first && books.begun(4).is_none());
    }
}
