//! What a queue process does beside its own work where others work on the same store: one file for each duty.
//!
//! Correctness stands in the store's rows. What is done here only keeps memory near to them: what is ready comes into
//! sight, what others did is heard of, and what a dead process kept is taken over.

mod announce;
mod due;
mod gone;
mod leases;
mod members;
mod notes;
mod recount;
mod refill;
mod scan;
mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_rpc::service::Stop;
use holdfast_storage::Failure;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::window::{Bounds, Cursors, Window};
use super::{Queue, Shared};
use crate::domain::time::Moment;
use crate::store::{Member, Shared as SharedStore};

/// Between two tries while the store fails.
const AGAIN: Duration = Duration::from_millis(250);

/// What wakes the duties.
#[derive(Debug)]
pub(super) struct Together {
    /// Processes that live, this one included.
    living: AtomicUsize,
    /// What the store held at the start was counted before anything was accepted.
    counted: AtomicBool,
    /// This process is not alone any more.
    joined: Notify,
    /// A line should be read.
    needy: Notify,
    /// A line was read.
    refilled: Notify,
    /// All lines should be asked for.
    unsure: Notify,
    /// There is something that a worker elsewhere may wait for.
    news: Notify,
    /// Something comes up by itself earlier than was known.
    sooner: Notify,
    /// When it was last known to.
    soonest: Mutex<Option<Moment>>,
    /// What reading lines from their beginnings took since all lines were asked for.
    read_anew: Mutex<Duration>,
}

impl Together {
    pub(super) fn new() -> Self {
        Self {
            living: AtomicUsize::new(1),
            counted: AtomicBool::new(false),
            joined: Notify::new(),
            needy: Notify::new(),
            refilled: Notify::new(),
            unsure: Notify::new(),
            news: Notify::new(),
            sooner: Notify::new(),
            soonest: Mutex::new(None),
            read_anew: Mutex::new(Duration::ZERO),
        }
    }

    /// Wakes the duties for which memory has something.
    pub(super) fn look_after(&self, window: &Window, soonest: Option<Moment>) {
        if window.is_needy() {
            self.needy.notify_one();
        }
        if window.must_scan() {
            self.unsure.notify_one();
        }
        let mut known = self.soonest.lock();
        if let Some(soonest) = soonest
            && known.is_none_or(|known| soonest < known)
        {
            *known = Some(soonest);
            self.sooner.notify_one();
        }
    }

    /// Something became ready that nobody here takes.
    pub(super) fn news(&self) {
        if !self.is_alone() {
            self.news.notify_one();
        }
    }

    fn is_alone(&self) -> bool {
        self.living.load(Ordering::Relaxed) <= 1
    }
}

impl Queue {
    /// The duties of a process that shares its store; none where it does not. They run until they are aborted.
    pub(crate) fn together(&self, stop: &Stop) -> Vec<JoinHandle<()>> {
        if self.shared.store.shared().is_none() {
            return Vec::new();
        }
        let shared = || Arc::clone(&self.shared);
        vec![
            tokio::spawn(tail::run(shared())),
            tokio::spawn(scan::run(shared())),
            tokio::spawn(refill::run(shared())),
            tokio::spawn(due::run(shared())),
            tokio::spawn(notes::run(shared())),
            tokio::spawn(announce::run(shared())),
            tokio::spawn(recount::run(shared())),
            tokio::spawn(members::run(shared(), stop.clone())),
        ]
    }

    /// Others need not wait for this process: it ends. Whatever it still keeps is theirs.
    pub(crate) async fn leave(&self) {
        if let Some(store) = self.shared.store.shared()
            && let Err(error) = store.leave().await
        {
            tracing::warn!(%error, "the other queues will find out by themselves that this one ends");
        }
    }
}

impl Shared {
    /// The store, which is shared: the duties run only where it is.
    fn others(&self) -> &dyn SharedStore {
        let Some(store) = self.store.shared() else { unreachable!("only where the store is shared") };
        store
    }

    /// What is in sight of a shared store at a start: nothing yet.
    pub(super) async fn first_window(store: &dyn SharedStore) -> Result<Window, Failure> {
        let me = store.writer();
        let members = store.beat(0.0).await?;
        let passed: Cursors = members.iter().map(|Member { writer, last_rank, .. }| (*writer, *last_rank)).collect();
        let mut window = Window::new(me, Bounds::default(), passed);
        window.appeared(me);
        Ok(window)
    }
}
