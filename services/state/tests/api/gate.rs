//! A store whose disk fails, or hangs, when the test says so.

use std::{sync::Arc, time::Duration};

use holdfast_state::{
    domain::{EpochId, Seq},
    store::{Flush, Journal, Retention, Swept, Unstored},
};
use holdfast_storage::{Class, Failure};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// A test that failed opens nothing any more.
const HELD_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Every flush fails.
    Full,
    /// A flush waits in the middle of its commit.
    Held,
    /// A flush waits when it is stored, before anybody knows.
    HeldAfterCommit,
    /// The next flush is stored, and its commit reports an error all the same.
    InDoubt,
}

/// The test's hand on the store.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mode: Mutex<Mode>,
    changed: Condvar,
    arrived: Notify,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { mode: Mutex::new(Mode::Open), changed: Condvar::new(), arrived: Notify::new() }))
    }

    fn set(&self, mode: Mode) {
        *self.0.mode.lock() = mode;
        self.0.changed.notify_all();
    }

    /// No space is left.
    pub(crate) fn fill(&self) {
        self.set(Mode::Full);
    }

    /// The next commit hangs until [`Self::open`].
    pub(crate) fn hold(&self) {
        self.set(Mode::Held);
    }

    /// The next commit hangs after it is stored, until [`Self::open`].
    pub(crate) fn hold_after_commit(&self) {
        self.set(Mode::HeldAfterCommit);
    }

    /// The next commit is stored, but says that it failed.
    pub(crate) fn doubt(&self) {
        self.set(Mode::InDoubt);
    }

    /// All is well again.
    pub(crate) fn open(&self) {
        self.set(Mode::Open);
    }

    /// Waits until a flush meets the gate.
    pub(crate) async fn arrival(&self) {
        self.0.arrived.notified().await;
    }
}

pub(crate) struct Gated {
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) gate: Gate,
}

impl Journal for Gated {
    fn commit(&mut self, flushes: u64, flush: &Flush) -> Result<(), Unstored> {
        let inner = &self.gate.0;
        let mut mode = inner.mode.lock();
        if *mode == Mode::HeldAfterCommit {
            self.journal.commit(flushes, flush)?;
            inner.arrived.notify_one();
            inner.changed.wait_while_for(&mut mode, |mode| *mode == Mode::HeldAfterCommit, HELD_MAX);
            return Ok(());
        }
        if *mode != Mode::Open {
            inner.arrived.notify_one();
        }
        inner.changed.wait_while_for(&mut mode, |mode| *mode == Mode::Held, HELD_MAX);
        match *mode {
            Mode::Full => {
                Err(Unstored { failure: Failure::new(Class::Full, "the test's disk is full"), in_doubt: false })
            }
            Mode::InDoubt => {
                *mode = Mode::Open;
                self.journal.commit(flushes, flush)?;
                Err(Unstored { failure: Failure::new(Class::Io, "the test's disk said nothing"), in_doubt: true })
            }
            Mode::Open | Mode::Held | Mode::HeldAfterCommit => self.journal.commit(flushes, flush),
        }
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
