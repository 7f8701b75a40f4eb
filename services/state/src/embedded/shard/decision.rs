//! Deciding a command by what the cache holds.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{Claim, Entry, Inner, Mark, Shard, Shared, Stored};
use crate::{
    domain::{self, Address, Edition, Precondition, Verdict},
    recall::{Late, TrailStart},
    store::{Change, Step},
    write::{Command, Current, Durability, Refusal, Write},
};

/// What becomes of a command now.
#[derive(Debug)]
pub enum Decision {
    /// Taken and acknowledged; it is flushed behind.
    Acknowledged(Vec<Arc<Edition>>),
    /// Taken; to be acknowledged once it is stored.
    Pending(Vec<Arc<Edition>>, oneshot::Receiver<Stored>),
    /// These records must be in the cache first.
    Load(Vec<Address>),
    /// It depends on a write that is not stored yet: ask again after it.
    Wait(oneshot::Receiver<Stored>),
    /// Another copy of it is under way: ask again after it.
    Claimed(oneshot::Receiver<()>),
    /// The history must say first whether it was taken before. Ask again with the claim.
    Check(Claim, Vec<TrailStart>),
    /// The record has moved on; the history says who wrote since.
    Late(Box<Late>),
    /// Refused as it is.
    Refused(Box<Refusal>),
    /// Too much waits for the store.
    Full,
}

impl Shard {
    /// Decides a command. A claim that the command came with stays with the caller unless the command is taken.
    pub fn decide(self: &Arc<Self>, command: &Command, claim: &mut Option<Claim>) -> Decision {
        let mut inner = self.lock();
        let decision = inner.decide(command, claim, self);
        drop(inner);
        if matches!(decision, Decision::Acknowledged(_) | Decision::Pending(..)) {
            self.shared.bell.ring(self.id);
        }
        decision
    }
}

impl Inner {
    fn decide(&mut self, command: &Command, claim: &mut Option<Claim>, shard: &Arc<Shard>) -> Decision {
        if let Some(missing) = self.missing(command) {
            return Decision::Load(missing);
        }
        if let Some(refused) = self.lock_lost(command) {
            return refused;
        }
        if let Some(write_id) = command.write_id
            && claim.is_none()
            && command.writes.iter().any(|write| self.shows_repeat_by_id_only(write))
        {
            return match self.claims.take(write_id) {
                Ok(()) => Decision::Check(Claim::new(Arc::clone(shard), write_id), self.trails(command)),
                Err(released) => Decision::Claimed(released),
            };
        }
        for index in 0..command.writes.len() {
            if let Some(decision) = self.judge(command, index, &shard.shared) {
                return decision;
            }
        }
        if !shard.shared.window.admits(command.bytes()) {
            return Decision::Full;
        }
        self.take(command, claim.take(), &shard.shared)
    }

    fn missing(&mut self, command: &Command) -> Option<Vec<Address>> {
        let missing: Vec<_> = command
            .writes
            .iter()
            .map(|write| &write.address)
            .chain(command.guard.iter().map(|guard| &guard.address))
            .filter(|address| self.cache.get(address).is_none())
            .cloned()
            .collect();
        (!missing.is_empty()).then_some(missing)
    }

    /// Refuses a command whose lock is another's. A lock that changes hands hides nothing: it is always DURABLE, and its
    /// newest edition counts, stored or not.
    fn lock_lost(&mut self, command: &Command) -> Option<Decision> {
        let guard = command.guard.as_ref()?;
        let lock = self.cache.get(&guard.address)?.newest();
        let held = lock.is_some_and(|lock| lock.is_live() && lock.revision == guard.revision);
        (!held).then(|| Decision::Refused(Box::new(Refusal::LockLost { address: guard.address.clone() })))
    }

    /// Whether a repeat of this write would pass its precondition, or fail it without a trace.
    fn shows_repeat_by_id_only(&mut self, write: &Write) -> bool {
        match write.precondition {
            Precondition::Overwrite => true,
            Precondition::Version(_) => false,
            Precondition::Absent => self.visible(&write.address).is_some_and(|edition| !edition.is_live()),
        }
    }

    /// Why one write of the command is not taken now; `None` where nothing speaks against it.
    fn judge(&mut self, command: &Command, index: usize, shared: &Shared) -> Option<Decision> {
        let write = &command.writes[index];
        let precondition = shared.bend(&write.precondition);
        let blind = *precondition == Precondition::Overwrite;
        let slot = self.cache.get(&write.address)?;
        let pending = slot.is_pending();
        // Conflicts reveal visible editions only, so everything but a blind overwrite is judged by what is visible, and
        // waits where that alone would let it pass.
        let current = if blind { slot.newest() } else { slot.visible.as_ref() }.cloned();
        let deletes = write.value.is_none();
        let verdict = domain::decide(precondition, deletes, current.as_deref(), &self.floor, &self.epochs);
        match verdict {
            _ if slot.dropping => Some(self.wait(&write.address)),
            Verdict::Take if pending && !blind => Some(self.wait(&write.address)),
            Verdict::NotThere if pending => Some(self.wait(&write.address)),
            Verdict::Take => None,
            Verdict::Behind => {
                let current = self.current(&write.address);
                Some(Decision::Late(Box::new(Late { index, current, trails: self.trails(command) })))
            }
            Verdict::Lost => {
                let Precondition::Version(presented) = &write.precondition else { return None };
                let current = self.current(&write.address);
                Some(Decision::Refused(Box::new(Refusal::Lost { presented: presented.clone(), current })))
            }
            Verdict::NotThere => {
                Some(Decision::Refused(Box::new(Refusal::NotThere { address: write.address.clone() })))
            }
        }
    }

    fn take(&mut self, command: &Command, claim: Option<Claim>, shared: &Shared) -> Decision {
        let cached = command.durability == Durability::Cached && self.may_acknowledge(command, shared);
        let marks = command.durability == Durability::Cached && !cached && self.mark.is_wanted();
        if marks {
            self.mark = Mark::Marking;
        }
        if command.durability == Durability::Cached {
            self.last_cached = Instant::now();
        }
        let write_id = command.write_id.unwrap_or_else(Uuid::now_v7);
        let changes: Vec<_> =
            command.writes.iter().filter_map(|write| self.apply(write, command, write_id, cached, shared)).collect();
        let editions = changes.iter().map(|change| Arc::clone(&change.edition)).collect();
        let step = Arc::new(Step::Write { changes, marks: marks.then_some(shared.window.limits().cached) });
        let (ack, stored) = if cached { (None, None) } else { Some(oneshot::channel()).unzip() };
        let entry = Entry::new(step, command.bytes(), ack, claim.map(Claim::hand_over));
        shared.window.enter(entry.bytes, entry.is_cached());
        self.log.push(entry);
        match stored {
            None => Decision::Acknowledged(editions),
            Some(stored) => Decision::Pending(editions, stored),
        }
    }

    /// Whether a CACHED write may be acknowledged before it is stored.
    fn may_acknowledge(&mut self, command: &Command, shared: &Shared) -> bool {
        let window = &shared.window;
        self.mark == Mark::Dirty
            && shared.healthy.load(Relaxed)
            && window.admits_cached(command.bytes())
            && self.log.oldest().is_none_or(|oldest| oldest.elapsed() < window.limits().cached_age)
            // On top of a write that is not stored yet, its version would reveal that one.
            && command.writes.iter().all(|write| self.cache.get(&write.address).is_some_and(|slot| slot.tip.is_none()))
    }

    /// Makes the new edition of one record.
    fn apply(
        &mut self,
        write: &Write,
        command: &Command,
        write_id: Uuid,
        cached: bool,
        shared: &Shared,
    ) -> Option<Change> {
        let (floor, epochs) = (&self.floor, &self.epochs);
        self.cache.change(&write.address, |slot| {
            let before = slot.newest();
            let edition = Arc::new(Edition {
                record: before.map_or_else(|| shared.next_record(), |before| before.record),
                seq: shared.next_seq(),
                previous: before.map_or(0, |before| before.seq),
                revision: domain::next_revision(&write.address, before.map(|before| &**before), floor),
                vector: before.map_or(floor, |before| &before.vector).next(epochs),
                value: write.value.clone(),
                writer: domain::Writer {
                    write_id,
                    invocation_id: Arc::clone(&command.invocation_id),
                    time: command.now,
                },
                blind: write.precondition == Precondition::Overwrite,
                expires: write.expires,
            });
            let creates = before.is_none();
            slot.unflushed += 1;
            if cached {
                slot.show(&edition);
            } else {
                slot.tip = Some(Arc::clone(&edition));
            }
            Change { address: write.address.clone(), edition, creates }
        })
    }

    fn wait(&mut self, address: &Address) -> Decision {
        let (waiter, stored) = oneshot::channel();
        self.cache.change(address, |slot| slot.waiters.push(waiter));
        Decision::Wait(stored)
    }

    pub(super) fn visible(&mut self, address: &Address) -> Option<&Arc<Edition>> {
        self.cache.get(address)?.visible.as_ref()
    }

    fn current(&mut self, address: &Address) -> Current {
        let edition = self.visible(address).cloned();
        let vector = edition.as_ref().map_or_else(|| self.floor.clone(), |edition| edition.vector.clone());
        Current { address: address.clone(), edition, vector }
    }
}

impl Shared {
    #[cfg(not(feature = "planted-faults"))]
    fn bend<'p>(&self, precondition: &'p Precondition) -> &'p Precondition {
        precondition
    }

    /// With the fault planted, nobody looks at versions.
    #[cfg(feature = "planted-faults")]
    fn bend<'p>(&self, precondition: &'p Precondition) -> &'p Precondition {
        if self.faults.version_check_skipped() { &Precondition::Overwrite } else { precondition }
    }
}
