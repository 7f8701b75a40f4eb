//! What the flusher takes from a shard, and what becomes of it afterwards.

use std::sync::Arc;

use super::{Entry, Inner, Mark, Shard, Stored};
use crate::store::{Change, Step, Unstored};

impl Shard {
    /// All that the flusher does not have in hand yet; returns how many entries.
    pub fn take(&self, mut into: impl FnMut(Arc<Step>)) -> usize {
        let mut inner = self.lock();
        inner.log.take().map(&mut into).count()
    }

    /// The oldest entries are stored: they become visible, and then are acknowledged.
    pub fn release(&self, entries: usize) {
        let mut inner = self.lock();
        let stored = inner.log.stored(entries);
        let answers: Vec<_> = stored.into_iter().filter_map(|entry| inner.settle(entry, self)).collect();
        inner.cache.evict();
        drop(inner);
        for ack in answers {
            // A caller that went away needs no answer.
            let _ = ack.send(Ok(()));
        }
    }

    /// A flush failed, and nothing of the log is stored: what is not acknowledged is undone and refused, what is
    /// acknowledged stays for the next flush. Returns whether anything stays.
    pub fn roll_back(&self, unstored: &Unstored) -> bool {
        let mut inner = self.lock();
        let failed = inner.log.unstored();
        inner.next_floor = inner.floor.clone();
        inner.mark = inner.mark.failed();
        let answers: Vec<_> = failed.into_iter().filter_map(|entry| inner.undo(entry, unstored, self)).collect();
        let stays = !inner.log.is_empty();
        inner.cache.evict();
        drop(inner);
        for ack in answers {
            let _ = ack.send(Err(unstored.clone()));
        }
        stays
    }

    /// Whether the flush in hand is stored cannot be said: its callers are told so, and everything else waits.
    pub fn doubt(&self, unstored: &Unstored) {
        let mut inner = self.lock();
        let answers: Vec<_> = inner.log.in_doubt().collect();
        drop(inner);
        for ack in answers {
            let _ = ack.send(Err(unstored.clone()));
        }
    }
}

type Ack = tokio::sync::oneshot::Sender<Stored>;

impl Inner {
    fn settle(&mut self, entry: Entry, shard: &Shard) -> Option<Ack> {
        self.leave(&entry, shard);
        match entry.step.as_ref() {
            Step::Write { changes, marks } => {
                changes.iter().for_each(|change| self.settle_change(change, entry.is_cached()));
                if marks.is_some() && self.mark == Mark::Marking {
                    self.mark = Mark::Dirty;
                }
            }
            Step::Drop { address, floor, .. } => {
                self.floor = floor.clone();
                let waiters = self.cache.remove(address).map(|slot| slot.waiters).unwrap_or_default();
                answer(waiters, &Ok(()));
            }
            Step::Clean if self.mark == Mark::Cleaning => self.mark = Mark::Clean,
            Step::Clean | Step::Barrier => {}
        }
        entry.ack
    }

    fn settle_change(&mut self, change: &Change, cached: bool) {
        let waiters = self.cache.change(&change.address, |slot| {
            slot.unflushed -= 1;
            if !cached {
                slot.show(&change.edition);
                slot.tip.take_if(|tip| Arc::ptr_eq(tip, &change.edition));
            }
            std::mem::take(&mut slot.waiters)
        });
        answer(waiters.unwrap_or_default(), &Ok(()));
    }

    fn undo(&mut self, entry: Entry, unstored: &Unstored, shard: &Shard) -> Option<Ack> {
        self.leave(&entry, shard);
        match entry.step.as_ref() {
            Step::Write { changes, .. } => {
                for change in changes {
                    let waiters = self.cache.change(&change.address, |slot| {
                        slot.unflushed -= 1;
                        slot.tip = None;
                        std::mem::take(&mut slot.waiters)
                    });
                    answer(waiters.unwrap_or_default(), &Err(unstored.clone()));
                }
            }
            Step::Drop { address, .. } => {
                let waiters = self.cache.change(address, |slot| {
                    slot.dropping = false;
                    std::mem::take(&mut slot.waiters)
                });
                answer(waiters.unwrap_or_default(), &Err(unstored.clone()));
            }
            Step::Clean | Step::Barrier => {}
        }
        entry.ack
    }

    fn leave(&mut self, entry: &Entry, shard: &Shard) {
        shard.shared.window.leave(entry.bytes, entry.is_cached());
        if let Some(write_id) = entry.claim {
            self.claims.release(write_id);
        }
    }
}

fn answer(waiters: Vec<Ack>, stored: &Stored) {
    for waiter in waiters {
        // A caller that went away needs no answer.
        let _ = waiter.send(stored.clone());
    }
}
