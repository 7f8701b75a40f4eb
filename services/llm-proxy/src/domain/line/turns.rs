//! Whose turn it is, over all lanes.

use super::{Blocked, Course, Lane, Line, Tag, Tenant, TenantId, Ticket, Waiter, Want};

/// Whose turn it is in one course, compared across courses: the tenant that has had least; among its own lanes the one that
/// had a turn longest ago; then who came first.
pub(super) type Turn = (Tag, u64, u64);

impl Line {
    /// The first in the order whose lane is not blocked.
    pub(crate) fn next(&mut self, blocked: &Blocked) -> Option<Waiter> {
        self.set_apart(blocked);
        let (_, _, waiter) = self.candidates(blocked).min_by_key(|(_, turn, _)| *turn)?;
        Some(waiter.clone())
    }

    /// Whether a call that comes with this ticket would be the first of those whose lanes are not blocked.
    pub(crate) fn is_ahead(&mut self, ticket: &Ticket, want: &Want, blocked: &Blocked) -> bool {
        self.set_apart(blocked);
        let id = self.tenants.id(&want.tenant);
        let lane = self.apart.contains_key(&want.lane).then_some(want.lane);
        let course = self.course(lane);
        if let Some(first) = course.first() {
            let own = id.and_then(|id| self.first_of(id, lane));
            let turn = (course.start_of(id), id.unwrap_or(TenantId::MAX));
            if turn > (course.start_of(Some(first)), first) || own.is_some_and(|own| own.ticket < *ticket) {
                return false;
            }
        }
        let turn = (self.common.start_of(id), course.served(id), ticket.number);
        self.candidates(blocked).all(|(of, theirs, _)| of == lane || turn < theirs)
    }

    /// Lanes that their own limits hold up are shared for themselves.
    fn set_apart(&mut self, blocked: &Blocked) {
        for lane in &blocked.0 {
            if self.apart.contains_key(lane) {
                continue;
            }
            let tenants = self.tenants.iter().filter(|(_, tenant)| tenant.queue(*lane).is_some());
            let course = self.common.part(tenants.map(|(id, _)| id));
            if course.is_idle() {
                continue;
            }
            let ids: Vec<_> = course.tenants().collect();
            self.apart.insert(*lane, course);
            for id in ids {
                let common = |tenant: &Tenant| tenant.lanes().any(|lane| !self.apart.contains_key(&lane));
                if !self.tenants.get(id).is_some_and(common) {
                    self.common.leave(id);
                }
            }
        }
    }

    fn course(&self, lane: Option<Lane>) -> &Course {
        lane.and_then(|lane| self.apart.get(&lane)).unwrap_or(&self.common)
    }

    /// The first of each course: its lane where it is apart, its turn, and who it is.
    fn candidates(&self, blocked: &Blocked) -> impl Iterator<Item = (Option<Lane>, Turn, &Waiter)> {
        let lanes = self.apart.keys().filter(|lane| !blocked.0.contains(lane)).copied();
        let courses = std::iter::once(None).chain(lanes.map(Some));
        courses.filter_map(|lane| {
            let course = self.course(lane);
            let id = course.first()?;
            let waiter = self.first_of(id, lane)?;
            Some((lane, (self.common.start_of(Some(id)), course.served(Some(id)), waiter.ticket.number), waiter))
        })
    }

    /// A tenant's first in a lane that is apart, or in all the others.
    fn first_of(&self, id: TenantId, lane: Option<Lane>) -> Option<&Waiter> {
        let tenant = self.tenants.get(id)?;
        match lane {
            Some(lane) => tenant.queue(lane)?.first(),
            None => {
                let common = tenant.lanes().filter(|lane| !self.apart.contains_key(lane));
                common.filter_map(|lane| tenant.queue(lane)?.first()).min_by_key(|waiter| waiter.ticket)
            }
        }
    }
}
