//! Who waits, and in what order. Bounded in calls and in bytes.
//!
//! Tenants share by weight, in tokens ([`course`]); a tenant's own calls go by priority and age, then by deadline, then by
//! arrival. Lanes are a provider's models. A lane that its own limit holds up is shared for itself from then on, until
//! nobody waits in it: else whoever also uses other models would find itself behind in this one for ever. No operation
//! costs more than the root of how many wait, or the logarithm of how many tenants do; the forecast is the exception, which
//! looks at some tenants more, up to a bound.

mod before;
mod course;
mod habit;
mod queue;
mod tenants;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

pub(crate) use self::queue::Load;
use self::{
    course::{Course, Tag, TenantId},
    tenants::{Tenant, Tenants},
};
use super::pool::{Lane, Want};

/// A call's place among those of its tenant: the lower goes first. It keeps it when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket {
    /// When it came, less `ageing` for each point of priority: a point is worth so much waiting, and nobody is passed for
    /// ever. In steps of a part of `ageing`, within which deadlines decide.
    turn: i64,
    deadline: Duration,
    number: u64,
}

/// Somebody who waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiter {
    pub(crate) ticket: Ticket,
    pub(crate) want: Want,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) calls: usize,
    pub(crate) bytes: usize,
}

/// Where nobody can start just now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocked(BTreeSet<Lane>);

/// What a call was charged when it started, to be put right when it is over.
#[derive(Debug)]
pub(crate) struct Charge {
    tenant: TenantId,
    weight: u32,
    lane: Lane,
    reserved: u64,
    input: u64,
    cost: Tag,
}

/// What starts before a call, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needed {
    /// In all lanes that it shares limits with.
    pub(crate) all: Load,
    /// In its own.
    pub(crate) lane: Load,
}

/// Steps of `ageing` in which deadlines decide.
const STEPS: u32 = 10;
/// What a tenant may have of the line, in times of what it leaves.
const SHARE_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Line {
    bounds: Bounds,
    ageing: Duration,
    tenants: Tenants,
    /// Where each number waits.
    places: HashMap<u64, (TenantId, Lane)>,
    /// All lanes but those apart.
    common: Course,
    apart: BTreeMap<Lane, Course>,
    /// What waits in each lane where somebody does.
    loads: BTreeMap<Lane, Load>,
    bytes: usize,
    numbers: u64,
    turns: u64,
}

impl Line {
    pub(crate) fn new(bounds: Bounds, ageing: Duration) -> Self {
        Self {
            bounds,
            ageing,
            tenants: Tenants::default(),
            places: HashMap::new(),
            common: Course::default(),
            apart: BTreeMap::new(),
            loads: BTreeMap::new(),
            bytes: 0,
            numbers: 0,
            turns: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// All that wait, in no order that matters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.tenants.iter().flat_map(|(_, tenant)| tenant.waiters())
    }

    /// What waits in one lane.
    pub(crate) fn load(&self, lane: Lane) -> Load {
        self.loads.get(&lane).copied().unwrap_or_default()
    }

    /// A place in the order for a call that comes now.
    pub(crate) fn ticket(&mut self, now: Duration, want: &Want) -> Ticket {
        self.numbers += 1;
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let step = nanos(self.ageing / STEPS).max(1);
        let aged = nanos(self.ageing).saturating_mul(want.priority.into());
        let turn = (nanos(now) / step * step).saturating_sub(aged);
        Ticket { turn, deadline: want.deadline.unwrap_or(Duration::MAX), number: self.numbers }
    }

    /// A tenant may have so many times what it leaves to others (A. Choudhury, E. Hahne, "Dynamic Queue Length Thresholds
    /// for Shared-Memory Packet Switches", ToN 1998): whoever floods the line leaves room for those who do not.
    pub(crate) fn has_room_for(&self, want: &Want) -> bool {
        let Some(calls) = self.bounds.calls.checked_sub(self.len() + 1) else { return false };
        let Some(bytes) = self.bounds.bytes.checked_sub(self.bytes + want.bytes) else { return false };
        let tenant = self.tenants.id(&want.tenant).and_then(|id| self.tenants.get(id));
        let (has, has_bytes) = tenant.map_or((0, 0), Tenant::room);
        has <= (calls + 1).saturating_mul(SHARE_MAX) && has_bytes <= bytes.saturating_mul(SHARE_MAX)
    }

    pub(crate) fn join(&mut self, ticket: Ticket, want: Want) {
        let lane = want.lane;
        let (id, tenant) = self.tenants.enter(&want);
        let before = self.places.insert(ticket.number, (id, lane));
        debug_assert!(before.is_none(), "a ticket is one call's");
        self.bytes += want.bytes;
        *self.loads.entry(lane).or_default() += Load::of(&want);
        let apart = &mut self.apart;
        let waits = match apart.contains_key(&lane) {
            true => tenant.queue(lane).is_some(),
            false => tenant.lanes().any(|lane| !apart.contains_key(&lane)),
        };
        tenant.insert(Waiter { ticket, want });
        if !waits {
            apart.get_mut(&lane).unwrap_or(&mut self.common).join(id);
        }
    }

    pub(crate) fn leave(&mut self, ticket: &Ticket) -> Option<Waiter> {
        let (id, lane) = self.places.remove(&ticket.number)?;
        let tenant = self.tenants.get_mut(id)?;
        let waiter = tenant.remove(lane, ticket)?;
        self.bytes -= waiter.want.bytes;
        if let Some(load) = self.loads.get_mut(&lane) {
            *load -= Load::of(&waiter.want);
        }
        self.loads.retain(|_, load| load.calls > 0);
        if let Some(course) = self.apart.get_mut(&lane) {
            if tenant.queue(lane).is_none() {
                course.leave(id);
            }
            if course.is_idle() {
                self.apart.remove(&lane);
            }
        } else if tenant.lanes().all(|lane| self.apart.contains_key(&lane)) {
            self.common.leave(id);
        }
        self.forget(id);
        Some(waiter)
    }

    /// A call starts. What it is charged goes to [`Self::settled`], [`Self::rejected`] or [`Self::given_back`], once.
    pub(crate) fn served(&mut self, want: &Want) -> Charge {
        let (id, tenant) = self.tenants.enter(want);
        tenant.flying += 1;
        let (weight, reserved) = (tenant.weight, want.counted().total());
        let cost = Tag::of(tenant.habit.expect(reserved), weight);
        self.turns += 1;
        if let Some(course) = self.apart.get_mut(&want.lane) {
            course.serve(id, cost, self.turns);
        }
        let turn = if self.apart.contains_key(&want.lane) { self.common.served(Some(id)) } else { self.turns };
        self.common.serve(id, cost, turn);
        self.forget(id);
        Charge { tenant: id, weight, lane: want.lane, reserved, input: want.counted().input, cost }
    }

    /// A call is over, and used so many tokens; all that were reserved for it, where nobody knows.
    pub(crate) fn settled(&mut self, charge: Charge, used: Option<u64>) {
        let used = used.unwrap_or(charge.reserved);
        self.tenants.learn(charge.tenant, charge.reserved, used);
        self.correct(&charge, Tag::of(used, charge.weight));
    }

    /// A call came to its end without an answer. It kept others from what it asked for, so it costs what it was charged, and
    /// what it said at least: else whoever asks for what no provider takes would be the first again each time. What the
    /// answers of its tenant come to, it does not tell.
    pub(crate) fn rejected(&mut self, charge: Charge) {
        let cost = charge.cost.max(Tag::of(charge.input, charge.weight));
        self.correct(&charge, cost);
    }

    /// A call never began, or was turned away.
    pub(crate) fn given_back(&mut self, charge: Charge) {
        self.correct(&charge, Tag::default());
    }

    /// Takes out everybody who, starting at this time, would start too late.
    pub(crate) fn hopeless(&mut self, start: impl Fn(&Waiter) -> Duration) -> Vec<Waiter> {
        let late = |waiter: &&Waiter| waiter.want.misses(start(waiter)).is_some();
        let tickets: Vec<_> = self.iter().filter(late).map(|waiter| waiter.ticket).collect();
        tickets.iter().filter_map(|ticket| self.leave(ticket)).collect()
    }

    fn correct(&mut self, charge: &Charge, was: Tag) {
        let id = charge.tenant;
        if let Some(tenant) = self.tenants.get_mut(id) {
            tenant.flying = tenant.flying.saturating_sub(1);
        }
        for course in self.apart.get_mut(&charge.lane).into_iter().chain([&mut self.common]) {
            course.refund(id, charge.cost.minus(was));
            course.charge(id, was.minus(charge.cost));
        }
        self.forget(id);
    }

    /// Forgets those with whom there is nothing to settle: this one maybe, and whoever is even with the others by now.
    fn forget(&mut self, tenant: TenantId) {
        for course in self.apart.values_mut() {
            course.sweep(false);
        }
        let even = self.common.sweep(self.places.is_empty());
        for tenant in even.into_iter().chain([tenant]).filter(|tenant| !self.common.knows(*tenant)) {
            self.tenants.forget(tenant);
        }
    }
}

impl Blocked {
    /// Nobody of this lane can start just now.
    pub(crate) fn block(&mut self, lane: Lane) {
        self.0.insert(lane);
    }
}

#[cfg(test)]
mod tests;
