//! What a desk does next about its lock: a decision by what it sees, without a clock or a store.

use std::collections::{HashSet, VecDeque};

use uuid::Uuid;

use super::{
    Lock,
    records::{Claimant, Grant, Line, Renewal},
    view::View,
};
use crate::{
    domain::Micros,
    write::{Guard, Write},
};

/// The longest line of one lock.
pub(super) const LINE_MAX: usize = 1_000;

/// Which desk asks, and for whom.
#[derive(Debug)]
pub(super) struct Side<'d> {
    /// The desk's own id.
    pub(super) desk: Uuid,
    /// Its callers, in the order in which they came.
    pub(super) callers: &'d [Claimant],
    /// Callers to whom it may have given the lock, and who have left since.
    pub(super) left: &'d HashSet<Uuid>,
}

/// What it knows by its own clock.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The holder has given no sign of life for as long as it may.
    pub(super) lapsed: bool,
    /// These have stood in line for longer than they wait.
    pub(super) overdue: HashSet<Uuid>,
    /// The time, for people.
    pub(super) now: Micros,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Plan {
    /// A caller has the lock.
    Has(Uuid, Lock),
    /// This is to be written, and then looked at again.
    Write(Step),
    /// The lock is another's.
    Wait {
        /// Callers for whom the line has no place.
        turned_away: Vec<Uuid>,
    },
}

/// A batch that is taken as a whole, or not at all.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) writes: Vec<Write>,
    pub(super) guard: Option<Guard>,
    /// The caller who has the lock by it: under whose lease it is written.
    pub(super) gives_to: Option<Uuid>,
}

impl Step {
    fn of(writes: Vec<Write>) -> Self {
        Self { writes, guard: None, gives_to: None }
    }
}

impl Side<'_> {
    fn speaks_for(&self, request: Uuid) -> bool {
        self.callers.iter().any(|caller| caller.request == request)
    }

    /// The next step by this view.
    pub(super) fn plan(&self, view: &View, judged: &Judged) -> Plan {
        let mut line = view.waiting.0.clone();
        line.retain(|waits| !judged.overdue.contains(&waits.request) || self.speaks_for(waits.request));
        line.retain(|waits| waits.desk != self.desk || self.speaks_for(waits.request));
        let Some(grant) = view.grant() else {
            return self.give(view, line, None, judged.now);
        };
        if self.speaks_for(grant.to.request) {
            return self.claim(view, grant);
        }
        if self.has_abandoned(view, grant) {
            return self.give(view, line, Some(view.no_renewal()), judged.now);
        }
        if judged.lapsed {
            if view.claimed_by().is_none() {
                // Its desk is gone, and with it all for whom it spoke: their offers would lapse one by one.
                line.retain(|waits| waits.desk != grant.to.desk);
            }
            return self.give(view, line, Some(view.no_renewal()), judged.now);
        }
        self.stand_in_line(view, line)
    }

    /// The lock is a caller's: an offer is claimed first, and so is what another desk spoke for, so that it does not take the
    /// lock for abandoned. What its holder has renewed is nobody's to abandon.
    fn claim(&self, view: &View, grant: &Grant) -> Plan {
        match (view.claimed_by(), view.lock()) {
            (Some(desk), Some(lock)) if desk == self.desk || desk.is_nil() => Plan::Has(grant.to.request, lock),
            _ => Plan::Write(Step {
                writes: vec![view.write_renewal(&Renewal { fence: view.fence(), desk: self.desk })],
                guard: Some(view.guard()),
                gives_to: Some(grant.to.request),
            }),
        }
    }

    /// Whether the lock was given to a caller of this desk that has left, and nobody else speaks for it.
    fn has_abandoned(&self, view: &View, grant: &Grant) -> bool {
        match view.claimed_by() {
            None => grant.to.desk == self.desk,
            Some(desk) => desk == self.desk && self.left.contains(&grant.to.request),
        }
    }

    /// Gives the lock to who comes first, and lets everybody else stand in line. `unrenewed` asks that the holder before
    /// has not come back.
    fn give(&self, view: &View, mut line: VecDeque<Claimant>, unrenewed: Option<Write>, now: Micros) -> Plan {
        let ahead: HashSet<_> = line.iter().map(|waits| waits.request).collect();
        line.extend(self.callers.iter().filter(|caller| !ahead.contains(&caller.request)).cloned());
        let next = line.pop_front();
        line.retain(|waits| waits.wait_ms > 0 || ahead.contains(&waits.request));
        line.truncate(LINE_MAX);
        let grant = next.map(|next| {
            let mine = self.speaks_for(next.request);
            let desk = if mine { self.desk } else { next.desk };
            Grant { to: Claimant { desk, ..next }, at: now, claimed: mine }
        });
        let mut writes = Vec::new();
        if grant.is_some() || view.grant().is_some() {
            writes.push(view.write_lock(grant.as_ref()));
        }
        writes.extend(unrenewed);
        writes.extend(view.write_line(&Line(line)));
        if writes.is_empty() {
            return Plan::Wait { turned_away: Vec::new() };
        }
        let gives_to = grant.filter(|grant| grant.claimed).map(|grant| grant.to.request);
        Plan::Write(Step { gives_to, ..Step::of(writes) })
    }

    /// Puts callers at the end of the line, and speaks for those who stood in it already.
    fn stand_in_line(&self, view: &View, mut line: VecDeque<Claimant>) -> Plan {
        let mut turned_away = Vec::new();
        for caller in self.callers {
            match line.iter().position(|waits| waits.request == caller.request) {
                Some(place) if line[place].desk == self.desk => {}
                Some(place) => {
                    line[place].desk = self.desk;
                    line[place].wait_ms = caller.wait_ms;
                }
                None if caller.wait_ms > 0 && line.len() < LINE_MAX => line.push_back(caller.clone()),
                None => turned_away.push(caller.request),
            }
        }
        match view.write_line(&Line(line)) {
            Some(write) => Plan::Write(Step::of(vec![write])),
            None => Plan::Wait { turned_away },
        }
    }
}

/// What gives a lock back: the next in line has it, by an offer.
pub(super) fn release(view: &View, now: Micros) -> Step {
    let mut line = view.waiting.0.clone();
    let next = line.pop_front().map(|next| Grant { to: next, at: now, claimed: false });
    let mut writes = vec![view.write_lock(next.as_ref())];
    match next {
        Some(_) => writes.extend(view.write_line(&Line(line))),
        None => writes.extend(view.drop_renewal()),
    }
    Step::of(writes)
}

/// What renews a lock.
pub(super) fn renew(view: &View) -> Step {
    let renewal = Renewal { fence: view.fence(), desk: Uuid::nil() };
    Step { guard: Some(view.guard()), ..Step::of(vec![view.write_renewal(&renewal)]) }
}
