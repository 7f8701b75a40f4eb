//! The tenants that are known: those that wait, that have calls at work, or that have had more than the others by now.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Ticket, Waiter, Want,
    course::TenantId,
    habit::Habit,
    queue::{Load, Queue},
};
use crate::domain::pool::Lane;

#[derive(Debug, Default)]
pub(super) struct Tenants {
    ids: HashMap<Arc<str>, TenantId>,
    tenants: BTreeMap<TenantId, Tenant>,
    last: u64,
    everybody: Habit,
}

#[derive(Debug)]
pub(super) struct Tenant {
    name: Arc<str>,
    pub(super) weight: u32,
    pub(super) habit: Habit,
    /// What waits, by lane. None is empty.
    queues: BTreeMap<Lane, Queue>,
    bytes: usize,
    /// Calls that have started, and whose use is not known.
    pub(super) flying: u64,
}

impl Tenants {
    pub(super) fn id(&self, name: &str) -> Option<TenantId> {
        self.ids.get(name).copied()
    }

    pub(super) fn get(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: TenantId) -> Option<&mut Tenant> {
        self.tenants.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TenantId, &Tenant)> {
        self.tenants.iter().map(|(id, tenant)| (*id, tenant))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tenants.len()
    }

    /// The tenant that wants this, which is known from now on.
    pub(super) fn enter(&mut self, want: &Want) -> (TenantId, &mut Tenant) {
        let known = self.id(&want.tenant);
        let id = known.unwrap_or_else(|| {
            self.last += 1;
            self.ids.insert(Arc::clone(&want.tenant), TenantId(self.last));
            TenantId(self.last)
        });
        let habit = self.everybody.of_a_newcomer();
        let tenant = self.tenants.entry(id).or_insert_with(|| Tenant {
            name: Arc::clone(&want.tenant),
            weight: want.weight,
            habit,
            queues: BTreeMap::new(),
            bytes: 0,
            flying: 0,
        });
        tenant.weight = want.weight;
        (id, tenant)
    }

    /// Learns what calls use of what is reserved for them.
    pub(super) fn learn(&mut self, id: TenantId, reserved: u64, used: u64) {
        self.everybody.learn(reserved, used);
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.habit.learn(reserved, used);
        }
    }

    /// Forgets a tenant with which there is nothing left to settle.
    pub(super) fn forget(&mut self, id: TenantId) {
        if self.tenants.get(&id).is_some_and(|tenant| tenant.queues.is_empty() && tenant.flying == 0)
            && let Some(tenant) = self.tenants.remove(&id)
        {
            self.ids.remove(&tenant.name);
        }
    }
}

impl Tenant {
    pub(super) fn queue(&self, lane: Lane) -> Option<&Queue> {
        self.queues.get(&lane)
    }

    /// Where it has somebody waiting.
    pub(super) fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.queues.keys().copied()
    }

    pub(super) fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.queues.values().flat_map(Queue::iter)
    }

    pub(super) fn insert(&mut self, waiter: Waiter) {
        self.bytes += waiter.want.bytes;
        self.queues.entry(waiter.want.lane).or_default().insert(waiter);
    }

    pub(super) fn remove(&mut self, lane: Lane, ticket: &Ticket) -> Option<Waiter> {
        let queue = self.queues.get_mut(&lane)?;
        let waiter = queue.remove(ticket)?;
        self.bytes -= waiter.want.bytes;
        if queue.is_empty() {
            self.queues.remove(&lane);
        }
        Some(waiter)
    }

    /// What of it waits, in some lanes.
    pub(super) fn load(&self, which: impl Fn(Lane) -> bool) -> Load {
        self.queues.iter().filter(|(lane, _)| which(**lane)).map(|(_, queue)| queue.load()).sum()
    }

    /// How many calls and bytes of it wait.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.load(|_| true).calls as usize, self.bytes)
    }

    /// What calls use in the end of what is reserved for them.
    pub(super) fn expected(&self, reserved: Load) -> Load {
        let tokens = self.habit.expect(reserved.tokens());
        Load { output: tokens.saturating_sub(reserved.input).min(reserved.output), ..reserved }
    }
}
