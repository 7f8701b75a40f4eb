//! What a process knows of each shard while a shared place decides: how far it is stored and visible, and who waits for that.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use holdfast_storage::Failure;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::fills::Fills;
use crate::domain::{EpochId, Seq, ShardId};

/// One shard's.
#[derive(Debug)]
pub struct Desk {
    /// Which one.
    pub id: ShardId,
    reached: watch::Sender<Reached>,
    news: watch::Sender<Seq>,
    /// CACHED writes are wanted, and the shard is not known to be marked.
    pub wants_mark: AtomicBool,
    /// Reads of the store under way.
    pub fills: Mutex<Fills>,
}

/// How far it is stored and visible.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    /// In which epoch.
    pub epoch: Option<EpochId>,
    /// Up to this place.
    pub stored: Seq,
    /// How often a flush failed …
    failures: u64,
    /// … and why at last.
    failure: Option<Failure>,
}

/// What waiting for the store comes to.
#[derive(Debug)]
pub enum Waited {
    /// It is stored, and visible.
    Stored,
    /// The epoch ended meanwhile: ask in the next one.
    Ended,
    /// A flush failed, and is tried again.
    Failed(Failure),
}

impl Desk {
    /// Of which nothing is known.
    pub fn new(id: ShardId) -> Self {
        let (reached, _) = watch::channel(Reached::default());
        let (news, _) = watch::channel(0);
        Self { id, reached, news, wants_mark: AtomicBool::new(false), fills: Mutex::default() }
    }

    /// An epoch counts, in which so much was stored when it was read: whoever waits for another one is told. An older
    /// standing of the same epoch changes nothing.
    pub fn begin(&self, epoch: EpochId, position: Seq) {
        self.reached.send_if_modified(|reached| {
            let begins = reached.epoch != Some(epoch);
            if begins {
                // Not what was stored, but what is stored *and visible*: all of what was there before the epoch is, as
                // nothing but the store had it. What the epoch has stored since may not be visible yet.
                *reached = Reached { epoch: Some(epoch), ..Reached::default() };
                self.wants_mark.store(false, Relaxed);
            }
            begins
        });
        self.announce(position);
    }

    /// Stored and visible up to here.
    pub fn reach(&self, epoch: EpochId, stored: Seq) {
        self.reached.send_if_modified(|reached| {
            let further = reached.epoch == Some(epoch) && reached.stored < stored;
            if further {
                reached.stored = stored;
            }
            further
        });
        self.announce(stored);
    }

    /// A flush failed: whoever waits for it is told.
    pub fn fail(&self, failure: &Failure) {
        self.reached.send_modify(|reached| {
            reached.failures += 1;
            reached.failure = Some(failure.clone());
        });
    }

    /// Something may be new for watchers.
    pub fn announce(&self, position: Seq) {
        self.news.send_if_modified(|newest| {
            let newer = *newest < position;
            *newest = position.max(*newest);
            newer
        });
    }

    /// How far it is stored and visible, as far as is known.
    pub fn stored(&self, epoch: EpochId) -> Seq {
        let reached = self.reached.borrow();
        if reached.epoch == Some(epoch) { reached.stored } else { 0 }
    }

    /// Hears of what may be new.
    pub fn news(&self) -> watch::Receiver<Seq> {
        self.news.subscribe()
    }

    /// Begins to wait. To be called before the flusher is told.
    pub fn wait(&self) -> Wait {
        let reached = self.reached.subscribe();
        let failures = reached.borrow().failures;
        Wait { reached, failures }
    }
}

/// Somebody who waits for the store.
#[derive(Debug)]
pub struct Wait {
    reached: watch::Receiver<Reached>,
    failures: u64,
}

impl Wait {
    /// Waits until a place is stored and visible.
    pub async fn until(mut self, epoch: EpochId, seq: Seq) -> Waited {
        let failures = self.failures;
        let over = |reached: &Reached| {
            reached.epoch != Some(epoch) || reached.stored >= seq || reached.failures != failures
        };
        match self.reached.wait_for(over).await {
            Ok(reached) if reached.epoch != Some(epoch) => Waited::Ended,
            Ok(reached) if reached.stored >= seq => Waited::Stored,
            Ok(reached) => match &reached.failure {
                Some(failure) => Waited::Failed(failure.clone()),
                None => Waited::Ended,
            },
            Err(_) => Waited::Ended,
        }
    }
}
