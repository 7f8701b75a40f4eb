//! One agent type's work: tenants share the picks by weight, and within a tenant priority and age decide.
//!
//! Between tenants it is deficit round robin (M. Shreedhar and G. Varghese, "Efficient Fair Queueing using Deficit Round
//! Robin", SIGCOMM 1995), with every invocation of the same size: in each round a tenant may have as many picks as its
//! weight is times the least weight of the round, and what is left of a pick it keeps for the next. So the quantum is one
//! pick at least, and no turn passes without one. The least weight is taken when a round begins: were it taken at each
//! turn, a light tenant that comes and goes could give some turns of one round more than others.
//!
//! Who comes has its first turn before the round (the new flows of RFC 8290), for a tenant that asks for little should not
//! wait for those that always want more. Then it stands behind all of the round, also where it has nothing left: only one
//! whose turn there comes while it has nothing leaves, and may come anew. So nobody has more turns for coming and going
//! than who stays, and nobody waits for more than one turn of each other tenant. Without work a tenant saves up nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::super::time::Moment;
use super::super::weights::Weights;
use super::Entry;

/// Sorts the next one of a tenant first: the smallest key, then the order of acceptance.
type Turn = (i64, i64, Uuid);

/// A tenant's place among the tenants: those who come stand before those who have had a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ticket {
    New(u64),
    Old(u64),
}

#[derive(Debug, Default)]
pub(super) struct AgentQueue {
    tenants: HashMap<Arc<str>, TenantQueue>,
    /// All that is ready, of all tenants.
    ready: usize,
    /// The tenants that have had ready work since something was always ready, by their tickets: the first has its turn.
    round: BTreeMap<Ticket, Arc<str>>,
    /// The weights of those, counted.
    weights: BTreeMap<u32, usize>,
    last_ticket: u64,
    /// The last ticket of this round.
    round_end: u64,
    /// What one pick costs in this round: the least weight when it began.
    pick: u32,
}

/// One tenant's work of one agent type. None is kept that neither waits nor has a ticket.
#[derive(Debug)]
struct TenantQueue {
    weight: u32,
    ready: BTreeSet<Turn>,
    /// All that wait, ready or not, by age.
    waiting: BTreeSet<(Moment, Uuid)>,
    /// Picks that are left of its turn; less than one between turns.
    deficit: f64,
    /// Its place in the round.
    ticket: Option<Ticket>,
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
            if queue.waiting.is_empty() && queue.ticket.is_none() {
                self.tenants.remove(&entry.tenant);
            }
        }
    }

    /// One that waits is ready; true when it is the tenant's only one.
    pub(super) fn ready(&mut self, entry: &Entry) -> bool {
        let Some(queue) = self.tenants.get_mut(&entry.tenant) else { return false };
        self.ready += usize::from(queue.ready.insert(turn_of(entry)));
        let is_only = queue.ready.len() == 1;
        if queue.ticket.is_none() {
            self.last_ticket += 1;
            let ticket = Ticket::New(self.last_ticket);
            queue.ticket = Some(ticket);
            *self.weights.entry(queue.weight).or_default() += 1;
            self.round.insert(ticket, Arc::clone(&entry.tenant));
        }
        is_only
    }

    /// One is ready no more; true when the tenant has no other.
    pub(super) fn unready(&mut self, entry: &Entry) -> bool {
        let Some(queue) = self.tenants.get_mut(&entry.tenant) else { return false };
        queue.ready.remove(&turn_of(entry)) && self.was_last(&entry.tenant)
    }

    /// The next one, and whether it was its tenant's last one that was ready. What is taken for a worker that is confined
    /// to a tenant is taken out of turn: that capacity is the tenant's own.
    pub(super) fn take(&mut self, tenant: Option<&str>) -> Option<(Uuid, bool)> {
        let Some(tenant) = tenant else { return self.take_next() };
        let (_, _, id) = self.tenants.get_mut(tenant)?.ready.pop_first()?;
        Some((id, self.was_last(tenant)))
    }

    fn take_next(&mut self) -> Option<(Uuid, bool)> {
        let (ticket, tenant) = self.whose_turn()?;
        let pick = self.cost_of_a_pick(ticket)?;
        let queue = self.tenants.get_mut(&tenant)?;
        if queue.deficit < 1.0 {
            queue.deficit += f64::from(queue.weight) / f64::from(pick);
        }
        queue.deficit -= 1.0;
        let (_, _, id) = queue.ready.pop_first()?;
        if queue.deficit < 1.0 {
            self.moves_back(ticket, &tenant);
        }
        Some((id, self.was_last(&tenant)))
    }

    /// The first tenant that has something. Those before it that have nothing lose their turns.
    fn whose_turn(&mut self) -> Option<(Ticket, Arc<str>)> {
        while self.ready > 0 {
            let (&ticket, tenant) = self.round.first_key_value()?;
            let tenant = Arc::clone(tenant);
            let queue = self.tenants.get_mut(&tenant)?;
            if !queue.ready.is_empty() {
                return Some((ticket, tenant));
            }
            let had_some = std::mem::take(&mut queue.deficit) >= 1.0;
            match ticket {
                Ticket::Old(_) if !had_some => self.leaves(ticket),
                _ => self.moves_back(ticket, &tenant),
            }
        }
        None
    }

    /// What each pick of this turn costs. The next round begins where the turn is its first.
    fn cost_of_a_pick(&mut self, ticket: Ticket) -> Option<u32> {
        let least = *self.weights.first_key_value()?.0;
        match ticket {
            Ticket::New(_) => return Some(least),
            Ticket::Old(number) if number > self.round_end => (self.round_end, self.pick) = (self.last_ticket, least),
            Ticket::Old(_) => {}
        }
        Some(self.pick)
    }

    pub(super) fn has_ready(&self) -> bool {
        self.ready > 0
    }

    pub(super) fn ready_of(&self, tenant: &str) -> usize {
        self.tenants.get(tenant).map_or(0, |queue| queue.ready.len())
    }

    #[cfg(test)]
    pub(super) fn tenants(&self) -> usize {
        self.tenants.len()
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

    /// A tenant has one less that is ready. Whether that was its last one.
    fn was_last(&mut self, tenant: &str) -> bool {
        self.ready -= 1;
        let was_last = self.ready_of(tenant) == 0;
        // Nobody has waited for anybody: nothing need be remembered.
        while self.ready == 0
            && let Some((&ticket, _)) = self.round.first_key_value()
        {
            self.leaves(ticket);
        }
        was_last
    }

    /// A tenant goes behind all others.
    fn moves_back(&mut self, from: Ticket, tenant: &Arc<str>) {
        self.last_ticket += 1;
        let ticket = Ticket::Old(self.last_ticket);
        self.round.remove(&from);
        self.round.insert(ticket, Arc::clone(tenant));
        if let Some(queue) = self.tenants.get_mut(tenant) {
            queue.ticket = Some(ticket);
        }
    }

    /// A tenant without ready work goes, and keeps no credit.
    fn leaves(&mut self, ticket: Ticket) {
        let Some(tenant) = self.round.remove(&ticket) else { return };
        let Some(queue) = self.tenants.get_mut(&tenant) else { return };
        (queue.ticket, queue.deficit) = (None, 0.0);
        if let Some(count) = self.weights.get_mut(&queue.weight) {
            *count -= 1;
            if *count == 0 {
                self.weights.remove(&queue.weight);
            }
        }
        if queue.waiting.is_empty() {
            self.tenants.remove(&tenant);
        }
    }
}

fn turn_of(entry: &Entry) -> Turn {
    (entry.turn, entry.seq, entry.id)
}
