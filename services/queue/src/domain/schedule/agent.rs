//! One agent type's work: tenants share the picks by weight, and within a tenant priority and age decide.
//!
//! Between tenants it is deficit round robin (M. Shreedhar and G. Varghese, "Efficient Fair Queueing using Deficit Round
//! Robin", SIGCOMM 1995), with every invocation of the same size: in each round a tenant may have as many picks as its
//! weight is times the least weight of the round, and what is left of a pick it keeps for the next. So the quantum is one
//! pick at least, and no turn passes without one. The least weight is taken when a round begins: were it taken at each
//! turn, a light tenant that comes and goes could give some turns of one round more than others. Who comes is heard in
//! the next round. Without work a tenant leaves, and its credit is gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::super::time::Moment;
use super::super::weights::Weights;
use super::Entry;

/// Sorts the next one of a tenant first: the smallest key, then the order of acceptance.
type Turn = (i64, i64, Uuid);

#[derive(Debug, Default)]
pub(super) struct AgentQueue {
    tenants: HashMap<Arc<str>, TenantQueue>,
    /// The tenants with ready work, by their tickets: the first has its turn.
    round: BTreeMap<u64, Arc<str>>,
    /// The weights of those, counted.
    weights: BTreeMap<u32, usize>,
    last_ticket: u64,
    /// The last ticket of this round.
    round_end: u64,
    /// What one pick costs in this round: the least weight when it began.
    pick: u32,
}

/// One tenant's work of one agent type. None is kept empty.
#[derive(Debug)]
struct TenantQueue {
    weight: u32,
    ready: BTreeSet<Turn>,
    /// All that wait, ready or not, by age.
    waiting: BTreeSet<(Moment, Uuid)>,
    /// Picks that are left of its turn; less than one between turns.
    deficit: f64,
    /// Its place in the round, while it has ready work.
    ticket: Option<u64>,
}

impl AgentQueue {
    pub(super) fn waits(&mut self, entry: &Entry, weights: &Weights) {
        let new = || TenantQueue {
            weight: weights.of(&entry.tenant),
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            deficit: 0.0,
            ticket: None,
        };
        let queue = self.tenants.entry(Arc::clone(&entry.tenant)).or_insert_with(new);
        queue.waiting.insert((entry.accepted_at, entry.id));
    }

    pub(super) fn waits_no_more(&mut self, entry: &Entry) {
        if let Some(queue) = self.tenants.get_mut(&entry.tenant) {
            queue.waiting.remove(&(entry.accepted_at, entry.id));
            if queue.waiting.is_empty() {
                self.tenants.remove(&entry.tenant);
            }
        }
    }

    /// One that waits is ready; true when it is the tenant's only one.
    pub(super) fn ready(&mut self, entry: &Entry) -> bool {
        let Some(queue) = self.tenants.get_mut(&entry.tenant) else { return false };
        queue.ready.insert(turn_of(entry));
        if queue.ticket.is_some() {
            return false;
        }
        self.last_ticket += 1;
        queue.ticket = Some(self.last_ticket);
        *self.weights.entry(queue.weight).or_default() += 1;
        self.round.insert(self.last_ticket, Arc::clone(&entry.tenant));
        true
    }

    /// One is ready no more; true when the tenant has no other.
    pub(super) fn unready(&mut self, entry: &Entry) -> bool {
        let Some(queue) = self.tenants.get_mut(&entry.tenant) else { return false };
        queue.ready.remove(&turn_of(entry)) && queue.ready.is_empty() && self.rests(&entry.tenant)
    }

    /// The next one, and whether it was its tenant's last one that was ready. What is taken for a worker that is confined
    /// to a tenant is taken out of turn: that capacity is the tenant's own.
    pub(super) fn take(&mut self, tenant: Option<&str>) -> Option<(Uuid, bool)> {
        let Some(tenant) = tenant else { return self.take_next() };
        let (_, _, id) = self.tenants.get_mut(tenant)?.ready.pop_first()?;
        Some((id, self.rests_if_done(tenant)))
    }

    fn take_next(&mut self) -> Option<(Uuid, bool)> {
        let (&ticket, tenant) = self.round.first_key_value()?;
        let tenant = Arc::clone(tenant);
        if ticket > self.round_end {
            self.round_end = self.last_ticket;
            self.pick = *self.weights.first_key_value()?.0;
        }
        let queue = self.tenants.get_mut(&tenant)?;
        if queue.deficit < 1.0 {
            queue.deficit += f64::from(queue.weight) / f64::from(self.pick);
        }
        queue.deficit -= 1.0;
        let (_, _, id) = queue.ready.pop_first()?;
        if queue.deficit < 1.0 {
            self.last_ticket += 1;
            queue.ticket = Some(self.last_ticket);
            self.round.remove(&ticket);
            self.round.insert(self.last_ticket, Arc::clone(&tenant));
        }
        Some((id, self.rests_if_done(&tenant)))
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.round.is_empty()
    }

    pub(super) fn ready_of(&self, tenant: &str) -> usize {
        self.tenants.get(tenant).map_or(0, |queue| queue.ready.len())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tenants.is_empty()
    }

    /// When the oldest waiting one was accepted, of one tenant or of all.
    pub(super) fn oldest(&self, tenant: Option<&str>) -> Option<Moment> {
        let of = |queue: &TenantQueue| queue.waiting.first().map(|(at, _)| *at);
        match tenant {
            Some(tenant) => self.tenants.get(tenant).and_then(of),
            None => self.tenants.values().filter_map(of).min(),
        }
    }

    fn rests_if_done(&mut self, tenant: &str) -> bool {
        self.ready_of(tenant) == 0 && self.rests(tenant)
    }

    /// A tenant without ready work leaves the round, and keeps no credit.
    fn rests(&mut self, tenant: &str) -> bool {
        let Some(queue) = self.tenants.get_mut(tenant) else { return false };
        let Some(ticket) = queue.ticket.take() else { return false };
        queue.deficit = 0.0;
        self.round.remove(&ticket);
        if let Some(count) = self.weights.get_mut(&queue.weight) {
            *count -= 1;
            if *count == 0 {
                self.weights.remove(&queue.weight);
            }
        }
        true
    }
}

fn turn_of(entry: &Entry) -> Turn {
    (entry.turn, entry.seq, entry.id)
}
