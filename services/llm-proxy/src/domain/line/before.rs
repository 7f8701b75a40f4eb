//! What will start before a call, by whose turn it is: exact for its own tenant, and as if the calls of each other tenant
//! were of its average size.

use super::{Course, Lane, Line, Load, Needed, Tag, Tenant, TenantId, Ticket, Want};

/// Tenants at which a forecast looks: the others are taken to be like them.
const LOOKS_MAX: usize = 512;

impl Line {
    /// What starts before a call with this ticket, in line or not.
    pub(crate) fn before(&self, ticket: &Ticket, want: &Want) -> Needed {
        let tenant = self.tenants.id(&want.tenant).and_then(|id| Some((id, self.tenants.get(id)?)));
        let common = |lane: Lane| !self.apart.contains_key(&lane);
        let own = |which: &dyn Fn(Lane) -> bool| own(tenant.map(|(_, tenant)| tenant), ticket, which);
        let lane = |lane: Lane| lane == want.lane;
        if let Some(course) = self.apart.get(&want.lane) {
            let mine = own(&lane);
            let mut of_lane = mine;
            of_lane += self.others(course, tenant, want, mine, &lane, &lane);
            let mut all = of_lane;
            all += self.others(&self.common, tenant, want, mine, &common, &common);
            return Needed { all, lane: of_lane };
        }
        let mine = own(&common);
        let (mut all, mut of_lane) = (mine, own(&lane));
        all += self.others(&self.common, tenant, want, mine, &common, &common);
        of_lane += self.others(&self.common, tenant, want, mine, &common, &lane);
        Needed { all, lane: of_lane }
    }

    /// What other tenants start in a course before a tenant that starts so much first: of all their calls there, those in
    /// some lanes.
    fn others(
        &self,
        course: &Course,
        tenant: Option<(TenantId, &Tenant)>,
        want: &Want,
        mine: Load,
        there: &dyn Fn(Lane) -> bool,
        which: &dyn Fn(Lane) -> bool,
    ) -> Load {
        let id = tenant.map(|(id, _)| id);
        let turn = (course.start_of(id).plus(Tag::of(mine.tokens(), want.weight)), id.unwrap_or(TenantId::MAX));
        let (mut before, mut looked) = (Load::default(), 0);
        for (start, other) in course.before(turn).filter(|(_, other)| Some(*other) != id).take(LOOKS_MAX) {
            looked += 1;
            let Some(other_tenant) = self.tenants.get(other) else { continue };
            let waits = other_tenant.load(there);
            let tokens = u128::from(other_tenant.expected(waits).tokens().max(1));
            let until = u128::from(turn.0.tokens_since(start, other_tenant.weight)) * u128::from(waits.calls);
            // Its next call starts before this turn if the ones before it end before; at the same time, if it came first.
            let calls = if other < turn.1 { until / tokens + 1 } else { until.div_ceil(tokens) };
            let calls = u64::try_from(calls).unwrap_or(u64::MAX).min(waits.calls);
            before += other_tenant.expected(other_tenant.load(which)).part(calls, waits.calls);
        }
        if looked == LOOKS_MAX { before.part(course.waiting() as u64, LOOKS_MAX as u64) } else { before }
    }
}

/// What of a tenant's own stands before a ticket, in some lanes.
fn own(tenant: Option<&Tenant>, ticket: &Ticket, which: &dyn Fn(Lane) -> bool) -> Load {
    let Some(tenant) = tenant else { return Load::default() };
    let queues = tenant.lanes().filter(|lane| which(*lane)).filter_map(|lane| tenant.queue(lane));
    tenant.expected(queues.map(|queue| queue.ahead_of(ticket)).sum())
}
