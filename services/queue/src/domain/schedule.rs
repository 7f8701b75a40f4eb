//! Who is next: every invocation that has not ended, in the place where it waits.
//!
//! Invariants: an entry is ready only when its time has come, its deadline has not, and everything before it in its
//! session has ended. Tenants share an agent type's picks by weight; within a tenant the smallest [`turn`] goes first:
//! priority, and age. Nothing here costs more than the logarithm of the number of entries.
//!
//! It need not hold everything. Where a store is shared it is a window: entries without place, time and deadline, which
//! come by [`accept`](Schedule::accept) and go by [`take`](Schedule::take) or [`forget`](Schedule::forget).

mod agent;
mod entry;
mod session;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::time::Moment;
use super::weights::Weights;
use agent::AgentQueue;
use entry::{Slot, Spot};
use session::Sessions;

pub use entry::{Entry, Place, turn};

/// Everything that has not ended.
#[derive(Debug, Default)]
pub struct Schedule {
    slots: foldhash::HashMap<Uuid, Slot>,
    agents: HashMap<Arc<str>, AgentQueue>,
    sessions: Sessions,
    delayed: BTreeSet<(Moment, Uuid)>,
    deadlines: BTreeSet<(Moment, Uuid)>,
    weights: Weights,
    /// Lines (agent type, tenant) that have become ready and were not asked for since.
    woken: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Schedule {
    /// Nothing yet; tenants share by these weights.
    #[must_use]
    pub fn new(weights: Weights) -> Self {
        Self { weights, ..Self::default() }
    }

    /// Takes a waiting invocation in; one that is there already stays as it is.
    pub fn accept(&mut self, entry: Entry, now: Moment) {
        let id = entry.id;
        if self.slots.contains_key(&id) {
            return;
        }
        self.insert(entry);
        self.place(id, now);
    }

    /// Takes a running invocation in (after a restart).
    pub fn accept_leased(&mut self, entry: Entry) {
        let id = entry.id;
        self.insert(entry);
        self.leased(id);
    }

    /// Takes an invocation in that was promised to a worker together with its acceptance.
    pub fn accept_claimed(&mut self, entry: Entry) {
        let id = entry.id;
        self.insert(entry);
        self.set_spot(id, Spot::Claimed);
    }

    /// The next one of an agent type, or of one tenant's; it is promised to the caller.
    pub fn take(&mut self, agent: &str, tenant: Option<&str>) -> Option<Uuid> {
        let (id, was_last) = self.agents.get_mut(agent)?.take(tenant)?;
        self.set_spot(id, Spot::Claimed);
        if was_last {
            let entry = &self.slots[&id].entry;
            self.woken.remove(&(Arc::clone(&entry.agent), Arc::clone(&entry.tenant)));
        }
        Some(id)
    }

    /// Takes an entry out of a window, wherever it is, as if it had never come. One with a place in a session must not be
    /// forgotten but [end](Self::ended): its followers wait for that.
    pub fn forget(&mut self, id: Uuid) -> Option<Entry> {
        let entry = self.slots.get(&id)?.entry.clone();
        debug_assert!(entry.place.is_none(), "a session's order would be lost");
        self.ended(id, Moment(0));
        Some(entry)
    }

    /// Ready entries of a line: those that [`take`](Self::take) can still give.
    #[must_use]
    pub fn len_of(&self, agent: &str, tenant: &str) -> usize {
        self.agents.get(agent).map_or(0, |queue| queue.ready_of(tenant))
    }

    /// A line (agent type, tenant) that has become ready and was not asked for since: each comes once.
    pub fn woken(&mut self) -> Option<(Arc<str>, Arc<str>)> {
        self.woken.pop_first()
    }

    /// The store has confirmed the lease.
    pub fn leased(&mut self, id: Uuid) {
        if self.slots.get(&id).is_none_or(|slot| slot.spot == Spot::Leased) {
            return;
        }
        self.leave_spot(id);
        self.stop_waiting(id);
        self.set_spot(id, Spot::Leased);
    }

    /// It waits again: after a lease that is over, or a promise that the store did not keep.
    pub fn requeued(&mut self, id: Uuid, ready_at: Option<Moment>, now: Moment) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if !matches!(slot.spot, Spot::Claimed | Spot::Leased) {
            return;
        }
        slot.entry.ready_at = ready_at;
        if std::mem::replace(&mut slot.spot, Spot::Held) == Spot::Leased {
            queue_of(&mut self.agents, &slot.entry).waits(&slot.entry, &self.weights);
        }
        self.place(id, now);
    }

    /// It has ended; the next of its session moves up.
    pub fn ended(&mut self, id: Uuid, now: Moment) {
        let Some(slot) = self.slots.get(&id) else { return };
        if slot.spot != Spot::Leased {
            self.leave_spot(id);
            self.stop_waiting(id);
        }
        let Some(Slot { entry, comes_up, .. }) = self.slots.remove(&id) else { return };
        if let Some(at) = comes_up {
            self.deadlines.remove(&(at, id));
        }
        if let Some(place) = entry.place
            && let Some(next) = self.sessions.leave(place)
        {
            self.place(next, now);
        }
    }

    /// What time has done: delayed ones whose time has come become ready, and those past their deadline are returned,
    /// once. A waiting one of these cannot be taken any more.
    pub fn due(&mut self, now: Moment) -> Vec<Uuid> {
        let mut expired = Vec::new();
        while let Some(&(at, id)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            if !matches!(self.slots[&id].spot, Spot::Leased | Spot::Claimed) {
                self.leave_spot(id);
                self.set_spot(id, Spot::Expired);
            }
            expired.push(id);
        }
        while let Some(&(at, id)) = self.delayed.first()
            && at <= now
        {
            self.place(id, now);
        }
        expired
    }

    /// The store could not record that a deadline passed: it comes up again.
    pub fn expire_again(&mut self, id: Uuid, at: Moment) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.comes_up = Some(at);
            self.deadlines.insert((at, id));
        }
    }

    /// When [`due`](Self::due) has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Moment> {
        let first = |set: &BTreeSet<(Moment, Uuid)>| set.first().map(|(at, _)| *at);
        [first(&self.delayed), first(&self.deadlines)].into_iter().flatten().min()
    }

    /// An invocation that has not ended.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&Entry> {
        self.slots.get(&id).map(|slot| &slot.entry)
    }

    /// Whether an agent type has work for a worker.
    #[must_use]
    pub fn has_ready(&self, agent: &str) -> bool {
        self.agents.get(agent).is_some_and(AgentQueue::has_ready)
    }

    /// When the oldest waiting one of an agent type was accepted, of one tenant or of all.
    #[must_use]
    pub fn oldest(&self, agent: &str, tenant: Option<&str>) -> Option<Moment> {
        self.agents.get(agent)?.oldest(tenant)
    }

    fn insert(&mut self, entry: Entry) {
        if let Some(place) = entry.place {
            self.sessions.join(place, entry.id);
        }
        if let Some(deadline) = entry.deadline {
            self.deadlines.insert((deadline, entry.id));
        }
        queue_of(&mut self.agents, &entry).waits(&entry, &self.weights);
        self.slots.insert(entry.id, Slot { comes_up: entry.deadline, entry, spot: Spot::Held });
    }

    /// Puts a waiting entry where it belongs now.
    fn place(&mut self, id: Uuid, now: Moment) {
        if self.slots.get(&id).is_none_or(|slot| slot.spot == Spot::Expired) {
            return;
        }
        self.leave_spot(id);
        let entry = &self.slots[&id].entry;
        let spot = if entry.deadline.is_some_and(|deadline| deadline <= now) {
            Spot::Expired
        } else if entry.place.is_some_and(|place| !self.sessions.is_head(place)) {
            Spot::Held
        } else if let Some(at) = entry.ready_at.filter(|at| *at > now) {
            self.delayed.insert((at, id));
            Spot::Delayed
        } else {
            if queue_of(&mut self.agents, entry).ready(entry) {
                self.woken.insert((Arc::clone(&entry.agent), Arc::clone(&entry.tenant)));
            }
            Spot::Ready
        };
        self.set_spot(id, spot);
    }

    fn leave_spot(&mut self, id: Uuid) {
        let Slot { entry, spot, .. } = &self.slots[&id];
        match spot {
            Spot::Delayed => {
                if let Some(at) = entry.ready_at {
                    self.delayed.remove(&(at, id));
                }
            }
            Spot::Ready => {
                if queue_of(&mut self.agents, entry).unready(entry) {
                    self.woken.remove(&(Arc::clone(&entry.agent), Arc::clone(&entry.tenant)));
                }
            }
            Spot::Held | Spot::Claimed | Spot::Leased | Spot::Expired => {}
        }
    }

    fn stop_waiting(&mut self, id: Uuid) {
        let entry = &self.slots[&id].entry;
        if let Some(queue) = self.agents.get_mut(&entry.agent) {
            queue.waits_no_more(entry);
            if queue.is_idle() {
                self.agents.remove(&entry.agent);
            }
        }
    }

    fn set_spot(&mut self, id: Uuid, spot: Spot) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.spot = spot;
        }
    }
}

fn queue_of<'q>(agents: &'q mut HashMap<Arc<str>, AgentQueue>, entry: &Entry) -> &'q mut AgentQueue {
    agents.entry(Arc::clone(&entry.agent)).or_default()
}

#[cfg(test)]
mod fairness;
#[cfg(test)]
pub(crate) mod tests;
