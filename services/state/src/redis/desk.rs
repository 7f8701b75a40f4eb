//! What a process knows of each shard while a shared place decides: how far it is stored and visible, and who waits for that.

use std::{
    mem,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use holdfast_storage::Failure;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::fills::Fills;
use crate::domain::{EpochId, Seq, ShardId};

/// One shard's.
#[derive(Debug)]
pub struct Desk {
    /// Which one.
    pub id: ShardId,
    reached: Mutex<Reached>,
    news: watch::Sender<Seq>,
    /// CACHED writes are wanted, and the shard is not known to be marked.
    pub wants_mark: AtomicBool,
    /// Reads of the store under way.
    pub fills: Mutex<Fills>,
}

/// How far it is stored and visible.
#[derive(Debug, Default)]
struct Reached {
    /// In which epoch.
    epoch: Option<EpochId>,
    /// Up to this place.
    stored: Seq,
    waiting: Vec<(Seq, oneshot::Sender<Waited>)>,
}

/// What waiting for the store comes to.
#[derive(Debug, Clone)]
pub enum Waited {
    /// It is stored, and visible.
    Stored,
    /// The epoch ended meanwhile: ask in the next one.
    Ended,
    /// A flush failed, and is tried again.
    Failed(Failure),
}

impl Reached {
    /// Whoever waits for a place up to here is told; whoever has gone away is forgotten.
    fn tell(&mut self, until: Seq, waited: &Waited) {
        let (due, rest): (Vec<_>, _) = mem::take(&mut self.waiting).into_iter().partition(|(seq, _)| *seq <= until);
        self.waiting = rest;
        self.waiting.retain(|(_, waiter)| !waiter.is_closed());
        for (_, waiter) in due {
            // A caller that went away needs no answer.
            let _ = waiter.send(waited.clone());
        }
    }
}

impl Desk {
    /// Of which nothing is known.
    pub fn new(id: ShardId) -> Self {
        let (news, _) = watch::channel(0);
        let (reached, fills) = (Mutex::default(), Mutex::default());
        Self { id, reached, news, wants_mark: AtomicBool::new(false), fills }
    }

    /// An epoch counts, and in it so much is stored; whoever waits for another one is told.
    pub fn begin(&self, epoch: EpochId, position: Seq) {
        let mut reached = self.reached.lock();
        if reached.epoch != Some(epoch) {
            reached.epoch = Some(epoch);
            // Not what is stored: of that, some may not be visible yet.
            reached.stored = 0;
            reached.tell(Seq::MAX, &Waited::Ended);
            self.wants_mark.store(false, Relaxed);
        }
        drop(reached);
        self.announce(position);
    }

    /// Stored and visible up to here.
    pub fn reach(&self, epoch: EpochId, stored: Seq) {
        let mut reached = self.reached.lock();
        if reached.epoch == Some(epoch) && reached.stored < stored {
            reached.stored = stored;
            reached.tell(stored, &Waited::Stored);
        }
        drop(reached);
        self.announce(stored);
    }

    /// A flush failed: whoever waits for it is told.
    pub fn fail(&self, failure: &Failure) {
        self.reached.lock().tell(Seq::MAX, &Waited::Failed(failure.clone()));
    }

    /// Something may be new for watchers.
    fn announce(&self, position: Seq) {
        self.news.send_if_modified(|newest| {
            let newer = *newest < position;
            *newest = position.max(*newest);
            newer
        });
    }

    /// How far it is stored and visible, as far as is known.
    pub fn stored(&self, epoch: EpochId) -> Seq {
        let reached = self.reached.lock();
        if reached.epoch == Some(epoch) { reached.stored } else { 0 }
    }

    /// Hears of what may be new.
    pub fn news(&self) -> watch::Receiver<Seq> {
        self.news.subscribe()
    }

    /// Waits until a place is stored and visible. To be called before the flusher is told.
    pub fn wait(&self, epoch: EpochId, seq: Seq) -> impl Future<Output = Waited> + use<> {
        let (waiter, waited) = oneshot::channel();
        let mut reached = self.reached.lock();
        if reached.epoch != Some(epoch) {
            // The other end has nobody to tell him.
            let _ = waiter.send(Waited::Ended);
        } else if reached.stored >= seq {
            let _ = waiter.send(Waited::Stored);
        } else {
            reached.waiting.push((seq, waiter));
        }
        drop(reached);
        async move { waited.await.unwrap_or(Waited::Ended) }
    }
}
