//! Who has a place, and who is next: no clock, no waking.
//!
//! A place that is free goes to the tenant that has the fewest, among equals to the one that was served (or came) longest
//! ago, and within a tenant to the call that came first. So a flood of one tenant costs another at most the end of one
//! call. While a place is free, nobody who may have it waits. A tenant without calls is forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How much there is, in all and for one tenant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// Requests under way at once.
    pub(crate) concurrency: usize,
    /// Of one tenant.
    pub(crate) tenant_concurrency: usize,
    /// Calls in line.
    pub(crate) waiting_max: usize,
    /// Of one tenant.
    pub(crate) tenant_waiting_max: usize,
}

impl Shares {
    /// Where one tenant may have it all while no other wants it.
    #[cfg(test)]
    pub(crate) const fn of_all(concurrency: usize, waiting_max: usize) -> Self {
        Self { concurrency, tenant_concurrency: concurrency, waiting_max, tenant_waiting_max: waiting_max }
    }
}

/// A stand in the line; it rises.
pub(super) type Ticket = u64;

/// The line; `W` is that by which somebody in it is called.
#[derive(Debug)]
pub(super) struct Line<W> {
    shares: Shares,
    running: usize,
    waiting: usize,
    /// Counts what comes and what is served.
    clock: u64,
    tenants: HashMap<Arc<str>, Tenant<W>>,
    /// The tenants whose first call may have a place, in the order in which they get one: places, turn, name.
    next: BTreeSet<(usize, u64, Arc<str>)>,
}

#[derive(Debug)]
struct Tenant<W> {
    running: usize,
    waiting: BTreeMap<Ticket, W>,
    /// When it was last served, or came into the line.
    turn: u64,
}

impl<W> Line<W> {
    pub(super) fn new(shares: Shares) -> Self {
        Self { shares, running: 0, waiting: 0, clock: 0, tenants: HashMap::new(), next: BTreeSet::new() }
    }

    /// A place at once, for a tenant whose name is given back; `None` where it must wait.
    pub(super) fn take(&mut self, tenant: &str) -> Option<Arc<str>> {
        if self.running >= self.shares.concurrency {
            return None;
        }
        let name = self.name(tenant);
        let own = self.tenants.entry(Arc::clone(&name)).or_insert_with(Tenant::new);
        // Where its share is taken, its older calls wait, and so does this one.
        if own.running >= self.shares.tenant_concurrency {
            return None;
        }
        own.running += 1;
        self.running += 1;
        Some(name)
    }

    /// A stand at the end of a tenant's line; `None` where there is none to be had.
    pub(super) fn join(&mut self, tenant: &str, wake: W) -> Option<(Arc<str>, Ticket)> {
        let name = self.name(tenant);
        let waiting = self.tenants.get(&name).map_or(0, |own| own.waiting.len());
        if waiting >= self.shares.tenant_waiting_max {
            return None;
        }
        if self.waiting >= self.shares.waiting_max && !self.displace(waiting + 1) {
            return None;
        }
        self.clock += 1;
        let ticket = self.clock;
        self.change(&name, |own| {
            if own.waiting.is_empty() {
                own.turn = ticket;
            }
            own.waiting.insert(ticket, wake);
        });
        self.waiting += 1;
        Some((name, ticket))
    }

    /// Sends the last of the longest line away, where that is longer than a line of `own` calls.
    fn displace(&mut self, own: usize) -> bool {
        let longest = self.tenants.iter().max_by_key(|(_, tenant)| tenant.waiting.len());
        let Some((name, _)) = longest.filter(|(_, tenant)| tenant.waiting.len() > own) else { return false };
        let name = Arc::clone(name);
        self.change(&name, |tenant| drop(tenant.waiting.pop_last()));
        self.waiting -= 1;
        true
    }

    /// Gives a stand up; false where it was none any more.
    pub(super) fn leave(&mut self, tenant: &str, ticket: Ticket) -> bool {
        let waited = self.change(tenant, |own| own.waiting.remove(&ticket).is_some());
        self.waiting -= usize::from(waited);
        waited
    }

    /// Gives a place back. [`Line::grant`] passes it on.
    pub(super) fn release(&mut self, tenant: &str) {
        self.change(tenant, |own| own.running -= 1);
        self.running -= 1;
    }

    /// Gives a free place to who is next, who is to be called.
    pub(super) fn grant(&mut self) -> Option<W> {
        if self.running >= self.shares.concurrency {
            return None;
        }
        let (_, _, name) = self.next.first()?.clone();
        self.clock += 1;
        let turn = self.clock;
        let (_, wake) = self.change(&name, |own| {
            let first = own.waiting.pop_first()?;
            own.running += 1;
            own.turn = turn;
            Some(first)
        })?;
        self.running += 1;
        self.waiting -= 1;
        Some(wake)
    }

    /// Changes what a tenant has, and keeps its place among those who are next, or forgets it.
    fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Tenant<W>) -> T) -> T {
        let name = self.name(name);
        let own = self.tenants.entry(Arc::clone(&name)).or_insert_with(Tenant::new);
        self.next.remove(&(own.running, own.turn, Arc::clone(&name)));
        let answer = change(own);
        if own.running == 0 && own.waiting.is_empty() {
            self.tenants.remove(&name);
        } else if !own.waiting.is_empty() && own.running < self.shares.tenant_concurrency {
            self.next.insert((own.running, own.turn, name));
        }
        answer
    }

    fn name(&self, tenant: &str) -> Arc<str> {
        self.tenants.get_key_value(tenant).map_or_else(|| tenant.into(), |(name, _)| Arc::clone(name))
    }
}

impl<W> Tenant<W> {
    const fn new() -> Self {
        Self { running: 0, waiting: BTreeMap::new(), turn: 0 }
    }
}

#[cfg(test)]
mod tests;
