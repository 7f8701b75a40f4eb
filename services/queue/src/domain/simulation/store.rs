//! What survives: rows that change by compare-and-set only, as in a store that processes share.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::fault::Fault;
use super::history::{Happened, History, Why};
use super::{LOST_MAX, TENANTS};
use crate::domain::record::{Live, PastEnd, Phase, Standing, Try, TryKind};
use crate::domain::schedule::Place;
use crate::domain::time::{Moment, Now};
use crate::domain::transition::{Grant, NotHeld, Step};

/// One invocation.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) seq: i64,
    pub(super) agent: &'static str,
    pub(super) tenant: usize,
    pub(super) turn: i64,
    pub(super) place: Option<Place>,
    pub(super) key: Option<u64>,
    pub(super) deadline_wall: Option<i64>,
    pub(super) standing: Standing,
    pub(super) tries: Vec<Try>,
    pub(super) past: Vec<PastEnd>,
    /// The process that times its lease.
    pub(super) keeper: Option<usize>,
    /// What the one process that owns everything measures its times by; it is set anew when that starts again.
    pub(super) deadline: Option<Moment>,
    pub(super) ready_at: Option<Moment>,
}

impl Row {
    pub(super) fn live(&self) -> Option<&Live> {
        match &self.standing {
            Standing::Live(live) => Some(live),
            Standing::Ended(_) => None,
        }
    }

    pub(super) fn next_at(&self) -> Option<i64> {
        match self.live()?.phase {
            Phase::Queued { next_at } => next_at,
            Phase::Leased(_) => None,
        }
    }

    pub(super) fn is_queued(&self) -> bool {
        matches!(self.live().map(|live| &live.phase), Some(Phase::Queued { .. }))
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) rows: BTreeMap<Uuid, Row>,
    pub(super) history: History,
    pub(super) fault: Option<Fault>,
    /// Whether several processes share it: then wall time decides, else the one process's monotonic clock.
    pub(super) shared: bool,
    /// Leases that a process keeps no more, and has not heard of yet.
    pub(super) notes: Vec<(usize, Uuid)>,
    /// What has not ended.
    pub(super) open: BTreeSet<Uuid>,
    /// The places of those, by session.
    members: BTreeSet<(i64, i64)>,
    orders: BTreeMap<i64, i64>,
    fences: BTreeMap<i64, u64>,
}

impl Store {
    pub(super) fn new(shared: bool, fault: Option<Fault>) -> Self {
        let history = History { strict: !shared, ..History::default() };
        Self { fault, shared, history, ..Self::default() }
    }

    pub(super) fn says(&mut self, what: Happened) {
        self.history.events.push(what);
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The next place in a session.
    pub(super) fn place(&mut self, session: i64) -> Place {
        let order = self.orders.entry(session).or_default();
        *order += 1;
        Place { session, order: *order }
    }

    pub(super) fn by_key(&self, key: Option<u64>) -> Option<Uuid> {
        if self.has(Fault::KeyIgnored) {
            return None;
        }
        key.and_then(|key| self.rows.values().find(|row| row.key == Some(key)).map(|row| row.id))
    }

    pub(super) fn accept(&mut self, row: Row) {
        let session = row.place.map(|place| place.session);
        self.says(Happened::Accepted { id: row.id, tenant: row.tenant, session, key: row.key });
        self.opens(&row);
        self.rows.insert(row.id, row);
    }

    fn opens(&mut self, row: &Row) {
        self.open.insert(row.id);
        self.members.extend(row.place.map(|place| (place.session, place.order)));
    }

    pub(super) fn live_rows(&self) -> impl Iterator<Item = &Row> {
        self.open.iter().map(|id| &self.rows[id])
    }

    /// Whether everything before it in its session has ended.
    pub(super) fn is_head(&self, row: &Row) -> bool {
        let Some(place) = row.place else { return true };
        let before = (place.session, i64::MIN)..(place.session, place.order);
        self.has(Fault::SessionOrderIgnored) || self.members.range(before).next().is_none()
    }

    /// What any process may lease now, by its own wall clock.
    pub(super) fn is_ready(&self, row: &Row, wall: i64) -> bool {
        let expired = row.deadline_wall.is_some_and(|at| at <= wall) && !self.has(Fault::DeadlineIgnored);
        let waits = row.next_at().is_some_and(|at| at > wall) && !self.has(Fault::EagerRetry);
        row.is_queued() && !waits && !expired && self.is_head(row)
    }

    /// Leases it, if it waits. Times count as they were `then`, when it was promised. The lease's fence.
    pub(super) fn claim(&mut self, id: Uuid, grant: &Grant, keeper: usize, then: Now, now: Moment) -> Option<u64> {
        let row = self.rows.get(&id)?;
        let live = row.live()?.clone();
        let in_order = match self.shared {
            true => self.is_ready(row, then.wall),
            false => self.is_head(row),
        };
        if !in_order && !self.has(Fault::BlindClaim) {
            return None;
        }
        let session = row.place.map(|place| place.session);
        let last = session.and_then(|session| self.fences.get(&session).copied()).unwrap_or(0);
        let granted = if self.has(Fault::FenceNotRising) {
            Live { fence: 0, ..live }.granted(grant, 0, 0)
        } else if self.has(Fault::BlindClaim) {
            Live { phase: Phase::Queued { next_at: None }, ..live }.granted(grant, last, then.wall)
        } else {
            live.granted(grant, last, then.wall)
        }?;
        let (late, early) = match self.shared {
            true => {
                (row.deadline_wall.is_some_and(|at| at <= then.wall), row.next_at().is_some_and(|at| at > then.wall))
            }
            false => {
                (row.deadline.is_some_and(|at| at <= then.moment), row.ready_at.is_some_and(|at| at > then.moment))
            }
        };
        let fence = granted.fence;
        if let Some(session) = session {
            self.fences.insert(session, fence);
        }
        let row = self.rows.get_mut(&id)?;
        row.standing = Standing::Live(granted);
        row.keeper = Some(keeper);
        let (lease, stream, at) = (grant.lease, grant.stream, now);
        self.says(Happened::Leased { id, lease, stream, fence, at, late, early });
        Some(fence)
    }

    /// One compare-and-set.
    pub(super) fn change(
        &mut self,
        id: Uuid,
        now: Now,
        change: impl FnOnce(Live) -> Result<Step, NotHeld>,
    ) -> Result<Step, NotHeld> {
        let (fault, shared) = (self.fault, self.shared);
        let row = self.rows.get_mut(&id).ok_or(NotHeld)?;
        let live = match (&row.standing, fault) {
            (Standing::Live(live), _) => live.clone(),
            (Standing::Ended(_), Some(Fault::DoubleTerminal)) => Live::accepted(None),
            (Standing::Ended(_), _) => return Err(NotHeld),
        };
        let mut step = change(live)?;
        match &mut step {
            Step::Requeued { live, tried } => {
                if fault == Some(Fault::LostRetry) && tried.kind.counts() {
                    live.phase = Phase::Queued { next_at: Some(i64::MAX / 4) };
                }
                row.standing = Standing::Live(live.clone());
                row.tries.push(tried.clone());
                row.keeper = None;
                if !shared {
                    row.ready_at = tried.next_at.map(|at| now.moment_of(at));
                }
                let why = match &tried.kind {
                    TryKind::Failed(_) => Why::Failed,
                    TryKind::Lost(_) => Why::Lost,
                    TryKind::Released => Why::Released,
                };
                let (lease, at) = (tried.lease.id, now.moment);
                self.says(Happened::Requeued { id, lease, why, at });
            }
            Step::Ended { ended, tried, raise } => {
                if fault == Some(Fault::EndNotFenced) {
                    *raise = None;
                }
                row.standing = Standing::Ended(ended.clone());
                row.tries.extend(tried.clone());
                row.keeper = None;
                let lost = tried.as_ref().is_some_and(|tried| matches!(tried.kind, TryKind::Lost(_)));
                let lease = ended.lease.as_ref().map(|lease| lease.id);
                let reason = ended.outcome.failure().map(|failure| failure.reason.clone());
                let (status, raise, lost_out) = (ended.outcome.status(), *raise, lost && ended.lost >= LOST_MAX);
                let at = now.moment;
                let place = row.place;
                self.open.remove(&id);
                if let Some(place) = place {
                    self.members.remove(&(place.session, place.order));
                }
                self.says(Happened::Ended { id, lease, status, reason, lost, lost_out, raise, at });
            }
        }
        Ok(step)
    }

    /// Whether a lease was ended by its holder before: a repeat gets its first answer.
    pub(super) fn was_settled_by(&self, id: Uuid, lease: Uuid) -> bool {
        let Some(row) = self.rows.get(&id) else { return false };
        let by_end = match &row.standing {
            Standing::Ended(ended) => {
                let by_holder = ended.outcome.failure().is_none_or(|failure| failure.reason == "BUSY");
                by_holder && ended.lease.as_ref().is_some_and(|held| held.id == lease)
            }
            Standing::Live(_) => false,
        };
        let by_try = row.tries.iter().any(|tried| tried.lease.id == lease && !matches!(tried.kind, TryKind::Lost(_)));
        by_end || by_try
    }

    /// Lets one that failed run again, at the end of its session.
    pub(super) fn redrive(&mut self, id: Uuid, by: Uuid, now: Now) -> bool {
        let Some(row) = self.rows.get(&id) else { return false };
        let Standing::Ended(ended) = row.standing.clone() else { return false };
        let Some(live) = ended.redriven(&row.tries, &row.past, now.wall) else { return false };
        let place = row.place.map(|place| self.place(place.session));
        let Some(row) = self.rows.get_mut(&id) else { return false };
        row.past.push(PastEnd { ended, redriven_at: now.wall, redrive: by });
        row.standing = Standing::Live(live);
        row.place = place;
        // Its deadline was that of the first run.
        (row.deadline, row.deadline_wall, row.ready_at) = (None, None, None);
        let row = row.clone();
        self.opens(&row);
        self.says(Happened::Redriven { id });
        true
    }

    pub(super) fn queued(&self) -> u64 {
        self.live_rows().filter(|row| row.is_queued()).count() as u64
    }

    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn tenant_name(tenant: usize) -> &'static str {
        TENANTS[tenant].0
    }
}
