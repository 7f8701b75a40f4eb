//! A store that takes its time: each commit of another one, held up.

use std::{thread, time::Duration};

use holdfast_storage::Failure;

use super::{Flush, Journal, Retention, Swept, Unstored};
use crate::domain::{EpochId, Seq};

/// Stands for a slow disk, where a day is rehearsed.
pub struct HeldUp {
    journal: Box<dyn Journal>,
    delay: Duration,
}

impl HeldUp {
    /// Holds each commit up for so long; by nothing, it is the journal itself.
    pub fn by(delay: Duration, journal: Box<dyn Journal>) -> Box<dyn Journal> {
        if delay.is_zero() { journal } else { Box::new(Self { journal, delay }) }
    }
}

impl Journal for HeldUp {
    fn commit(&mut self, flushes: u64, flush: &Flush) -> Result<(), Unstored> {
        // Whatever is decided meanwhile gathers for the next commit, as it does before a disk.
        #[expect(clippy::disallowed_methods, reason = "a slow disk is no event, and this is the flusher's own thread")]
        thread::sleep(self.delay);
        self.journal.commit(flushes, flush)
    }

    fn flushes(&mut self) -> Result<u64, Failure> {
        self.journal.flushes()
    }

    fn sweep_history(&mut self, after: Seq, rows: usize, keep: Retention) -> Result<Swept, Failure> {
        self.journal.sweep_history(after, rows, keep)
    }

    fn sweep_fences(&mut self, floor: u64) -> Result<(), Failure> {
        self.journal.sweep_fences(floor)
    }

    fn fold_epochs(&mut self, epochs: &[EpochId]) -> Result<(), Failure> {
        self.journal.fold_epochs(epochs)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::store::sqlite;

    #[test]
    fn a_commit_is_held_up_and_stored_all_the_same() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let opened = sqlite::open(dir.path(), crate::domain::Micros::default()).expect("it opens");
        let delay = Duration::from_millis(20);
        let mut journal = HeldUp::by(delay, opened.journal);
        let before = journal.flushes().expect("it says");
        let begun = Instant::now();
        journal.commit(before, &Flush::default()).expect("it is stored");
        assert!(begun.elapsed() >= delay);
        assert_eq!(journal.flushes().expect("it says"), before + 1);
    }
}
