//! One queue process: the core's parts, and what it makes of the store's answers. It owns everything, or shares the store
//! with others and has a window of what is ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::fault::Fault;
use super::history::Happened;
use super::store::{Row, Store};
use super::{AGAIN, LEASE, TENANTS, limits, weights};
use crate::domain::demand::{Demand, WorkerId};
use crate::domain::depth::{Count, Depths};
use crate::domain::invocation::Lease;
use crate::domain::leases::{Confines, Held, Leases, Origin};
use crate::domain::record::Phase;
use crate::domain::schedule::{Entry, Schedule};
use crate::domain::time::{Moment, Now};
use crate::domain::transition::{Grant, Step};

/// Entries in a window.
const WINDOW: usize = 40;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) number: usize,
    pub(super) alive: bool,
    pub(super) paused: bool,
    /// Its wall clock, beside the others'.
    pub(super) skew: i64,
    pub(super) beat: u64,
    /// The others' beats, and since when they are unchanged.
    pub(super) seen: BTreeMap<usize, (u64, Moment)>,
    pub(super) schedule: Schedule,
    pub(super) demand: Demand,
    pub(super) leases: Leases,
    pub(super) depths: Depths,
    /// Promises whose commit is on its way.
    pub(super) in_flight: Vec<Promise>,
    pub(super) stepped_at: Moment,
}

/// What a worker shall have, once that is durable.
#[derive(Debug)]
pub(super) struct Promise {
    pub(super) worker: WorkerId,
    pub(super) id: Uuid,
    /// When it was made.
    pub(super) at: Now,
}

impl Process {
    pub(super) fn start(number: usize, fault: Option<Fault>, now: Now) -> Self {
        let wrong = || [("t0", 1_000)].into_iter().collect();
        let weights = if fault == Some(Fault::UnfairPick) { wrong() } else { weights() };
        Self {
            number,
            alive: true,
            paused: false,
            skew: 0,
            beat: 0,
            seen: BTreeMap::new(),
            schedule: Schedule::new(weights.clone()),
            demand: Demand::default(),
            leases: Leases::default(),
            depths: Depths::new(limits(), weights, now.moment),
            in_flight: Vec::new(),
            stepped_at: now.moment,
        }
    }

    pub(super) fn works(&self) -> bool {
        self.alive && !self.paused
    }

    /// Its own view of the time.
    pub(super) fn now(&self, now: Now) -> Now {
        Now { wall: now.wall + self.skew, ..now }
    }

    /// Takes in what it owns, at its start.
    pub(super) fn restore(&mut self, store: &mut Store, now: Now) {
        let until = now.moment.after(LEASE);
        let rows: Vec<Row> = store.live_rows().cloned().collect();
        for mut row in rows {
            // After a restart only the wall clock knows how much of a time is left.
            row.deadline = row.deadline_wall.map(|at| now.moment_of(at));
            row.ready_at = row.next_at().map(|at| now.moment_of(at));
            row.keeper = row.keeper.map(|_| self.number);
            let entry = entry(&row, store, now);
            match row.live().and_then(|live| live.lease().cloned()) {
                None => {
                    self.depths.waits(&entry.agent, &entry.tenant, entry.bytes, now.moment);
                    self.schedule.accept(entry, now.moment);
                }
                Some(lease) => {
                    self.depths.runs(&entry.agent, &entry.tenant, now.moment);
                    self.schedule.accept_leased(entry);
                    self.keep(&row, &lease, until, Confines::Unknown);
                }
            }
            store.rows.insert(row.id, row);
        }
    }

    /// Times a lease that it did not grant.
    pub(super) fn keep(&mut self, row: &Row, lease: &Lease, until: Moment, confines: Confines) {
        self.begin(row, lease, until);
        if let Some(stream) = lease.stream {
            self.leases.broke(stream, Arc::clone(&lease.worker), confines, until);
        }
    }

    /// Times a lease whose stream is here.
    pub(super) fn begin(&mut self, row: &Row, lease: &Lease, until: Moment) {
        self.leases.begin(lease.id, held(row, lease), until);
    }

    /// What memory makes of a new invocation.
    pub(super) fn accepted(&mut self, row: &Row, store: &Store, now: Now) {
        if !store.shared {
            self.schedule.accept(entry(row, store, now), now.moment);
        }
    }

    /// Looks for what is ready in a store that it shares.
    pub(super) fn look(&mut self, store: &Store, now: Now) {
        let wall = self.now(now).wall;
        for row in store.live_rows().filter(|row| store.is_ready(row, wall)) {
            let room = self.schedule.len_of(row.agent, Store::tenant_name(row.tenant)) < WINDOW;
            if room && self.schedule.get(row.id).is_none() {
                let entry = Entry { place: None, deadline: None, ready_at: None, ..entry(row, store, now) };
                self.schedule.accept(entry, now.moment);
            }
        }
    }

    /// Takes the store's counts.
    pub(super) fn count(&mut self, store: &Store, now: Now) {
        self.depths.mark();
        let mut counts = Vec::new();
        for agent in ["a", "b"] {
            for (tenant, (name, _)) in TENANTS.iter().enumerate() {
                let of = |queued: bool| {
                    let ours = |row: &&Row| row.agent == agent && row.tenant == tenant;
                    store.live_rows().filter(ours).filter(|row| row.is_queued() == queued).count() as u64
                };
                let (queued, leased) = (of(true), of(false));
                let (agent, tenant) = (Arc::from(agent), Arc::from(*name));
                counts.push(Count { agent, tenant, queued, bytes: queued, leased, oldest: None });
            }
        }
        self.depths.reset(counts, now.moment);
    }

    /// The picks of one round, each told to the history with what was ready then.
    pub(super) fn picks(&mut self, store: &mut Store, confined: impl Fn(WorkerId) -> bool) -> Vec<(WorkerId, Uuid)> {
        let mut picks = Vec::new();
        store.says(Happened::Round);
        loop {
            let ready = |agent| TENANTS.map(|(tenant, _)| self.schedule.len_of(agent, tenant));
            let before = [ready("a"), ready("b")];
            let Some((worker, id)) = self.demand.pair(&mut self.schedule, 1, |_, _| true).pop() else { return picks };
            picks.push((worker, id));
            if let Some(entry) = self.schedule.get(id).filter(|_| !confined(worker)) {
                let agent = usize::from(*entry.agent == *"b");
                let tenant = TENANTS.iter().position(|(name, _)| **name == *entry.tenant).unwrap_or_default();
                store.says(Happened::Picked { agent, tenant, ready: before[agent] });
            }
        }
    }

    /// Commits a promise; whether it is a lease now. Whether it may be one is decided by the time of the promise.
    pub(super) fn claim(&mut self, store: &mut Store, promise: &Promise, grant: &Grant, now: Moment) -> bool {
        let Promise { worker, id, at } = *promise;
        let claimed = store.claim(id, grant, self.number, self.now(at), now).is_some();
        if !claimed {
            self.demand.add(worker, 1);
            match store.shared {
                true => drop(self.schedule.forget(id)),
                false => self.schedule.requeued(id, Some(now.after(AGAIN)), now),
            }
            return false;
        }
        if let Some(entry) = self.schedule.get(id) {
            self.depths.claimed(&entry.agent, &entry.tenant, entry.bytes, now);
        }
        match store.shared {
            true => drop(self.schedule.forget(id)),
            false => self.schedule.leased(id),
        }
        let row = &store.rows[&id];
        if let Some(Phase::Leased(lease)) = row.live().map(|live| &live.phase) {
            self.leases.begin(lease.id, held(row, lease), now.after(LEASE));
        }
        true
    }

    /// What memory makes of a step, where it happened here.
    pub(super) fn stepped(&mut self, store: &Store, id: Uuid, step: &Step, now: Now) {
        let fault = store.fault;
        let entry = self.schedule.get(id).cloned();
        match step {
            Step::Requeued { tried, .. } => {
                self.leases.end(tried.lease.id);
                if let Some(entry) = entry
                    && fault != Some(Fault::Miscount)
                {
                    self.depths.requeued(&entry.agent, &entry.tenant, entry.bytes, now.moment);
                }
                let ready_at = tried.next_at.map(|at| now.moment_of(at)).filter(|_| fault != Some(Fault::EagerRetry));
                self.schedule.requeued(id, ready_at, now.moment);
            }
            Step::Ended { ended, .. } => {
                if let Some(lease) = &ended.lease {
                    self.leases.end(lease.id);
                }
                if let Some(entry) = entry {
                    let leased = ended.lease.is_some();
                    self.depths.ended(&entry.agent, &entry.tenant, entry.bytes, leased, now.moment);
                }
                self.schedule.ended(id, now.moment);
            }
        }
    }
}

fn held(row: &Row, lease: &Lease) -> Held {
    Held {
        invocation: row.id,
        agent: row.agent.into(),
        tenant: Store::tenant_name(row.tenant).into(),
        bytes: 1,
        worker: Arc::clone(&lease.worker),
        stream: lease.stream,
        token: "".into(),
        origin: Origin::Unrecorded,
    }
}

fn entry(row: &Row, store: &Store, now: Now) -> Entry {
    Entry {
        id: row.id,
        seq: row.seq,
        agent: row.agent.into(),
        tenant: Store::tenant_name(row.tenant).into(),
        turn: row.turn,
        place: row.place.filter(|_| !store.has(Fault::SessionOrderIgnored)),
        ready_at: row.ready_at,
        deadline: row.deadline.filter(|_| !store.has(Fault::DeadlineIgnored)),
        accepted_at: now.moment,
        bytes: 1,
    }
}
