//! How far the writers were followed; where they cannot be, all lines are asked for.

use super::{Cursors, Window, read::keys};
use crate::store::{Line, ReadyKey, WriterId};

impl Window {
    /// A process has appeared. What it made ready so far, or is still to, comes by.
    pub(crate) fn appeared(&mut self, writer: WriterId) {
        self.passed.entry(writer).or_insert(0);
    }

    /// Where the tail goes on. It names this process too, whose own comes by with its answers.
    pub(crate) fn tail_from(&self) -> Vec<ReadyKey> {
        keys(&self.passed)
    }

    /// How far behind a writer the tail is.
    pub(crate) fn behind(&self, writer: WriterId, last_rank: i64) -> i64 {
        last_rank - self.passed.get(&writer).copied().unwrap_or(0)
    }

    /// A writer is too far ahead to follow: all lines are asked for instead.
    pub(crate) fn skip_to(&mut self, writer: WriterId, rank: i64) {
        let passed = self.passed.entry(writer).or_insert(0);
        *passed = rank.max(*passed);
        self.scan = true;
    }

    /// Whether all lines must be asked for.
    pub(crate) fn must_scan(&self) -> bool {
        self.scan && self.is_wanting()
    }

    /// All lines are about to be asked for; false when they need not be.
    pub(crate) fn begin_scan(&mut self) -> bool {
        let scan = std::mem::take(&mut self.scan);
        self.scanning |= scan;
        scan
    }

    /// Something may have become ready, or may still be, that nobody told of.
    pub(crate) fn doubt(&mut self) {
        self.scan = true;
    }

    /// All lines that have something ready in the store; none when they could not be read. Whatever is not known to be held
    /// is read.
    pub(crate) fn scanned(&mut self, lines: Option<&[Line]>) {
        self.scanning = false;
        self.scan |= lines.is_none();
        for line in lines.unwrap_or_default() {
            let line = self.known(line).unwrap_or_else(|| self.meet(line.clone(), Cursors::new()));
            self.change(&line, |sight| {
                // What was given up as taken by others may be there still: it is looked for from the beginning.
                sight.read_anew();
                sight.more = true;
                sight.passed_by = sight.reading;
            });
        }
    }
}
