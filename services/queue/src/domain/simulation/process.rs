//! One queue process: the core's parts, and what it makes of the store's answers. It owns everything, or shares the store
//! with others and has a window of what is ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::fault::Fault;
use super::history::Happened;
use super::store::{Row, Store};
use super::{AGAIN, GRACE, LEASE, LOST_MAX, TENANTS, limits, weights};
use crate::domain::demand::{Demand, WorkerId};
use crate::domain::depth::{Count, Depths};
use crate::domain::invocation::Lease;
use crate::domain::leases::{Confines, Held, Leases};
use crate::domain::record::Phase;
use crate::domain::schedule::{Entry, Schedule};
use crate::domain::time::{Moment, Now};
use crate::domain::transition::{Grant, NotHeld, Step};

/// Entries in a window.
const WINDOW: usize = 40;
/// A gap between two of its steps by which a process knows that it was paused.
const PAUSED: Duration = Duration::from_secs(2);
/// How long a process's beat is seen unchanged until it is taken for dead.
const DEAD: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Process {
    pub(super) number: usize,
    pub(super) alive: bool,
    pub(super) paused: bool,
    /// Its wall clock, beside the others'.
    pub(super) skew: i64,
    pub(super) beat: u64,
    /// The others' beats, and since when they are unchanged.
    seen: BTreeMap<usize, (u64, Moment)>,
    pub(super) schedule: Schedule,
    pub(super) demand: Demand,
    pub(super) leases: Leases,
    pub(super) depths: Depths,
    /// Promises whose commit is on its way.
    pub(super) in_flight: Vec<(WorkerId, Uuid)>,
    stepped_at: Moment,
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
    fn keep(&mut self, row: &Row, lease: &Lease, until: Moment, confines: Confines) {
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
            let Some((worker, id)) = self.demand.pair(&mut self.schedule, 1, |_| true).pop() else { return picks };
            picks.push((worker, id));
            if let Some(entry) = self.schedule.get(id).filter(|_| !confined(worker)) {
                let agent = usize::from(*entry.agent == *"b");
                let tenant = TENANTS.iter().position(|(name, _)| **name == *entry.tenant).unwrap_or_default();
                store.says(Happened::Picked { agent, tenant, ready: before[agent] });
            }
        }
    }

    /// Commits a promise. The lease, where it is one.
    pub(super) fn claim(&mut self, store: &mut Store, pick: (WorkerId, Uuid), grant: &Grant, now: Now) -> bool {
        let (worker, id) = pick;
        let claimed = store.claim(id, grant, self.number, self.now(now)).is_some();
        if !claimed {
            self.demand.add(worker, 1);
            match store.shared {
                true => drop(self.schedule.forget(id)),
                false => self.schedule.requeued(id, Some(now.moment.after(AGAIN)), now.moment),
            }
            return false;
        }
        if let Some(entry) = self.schedule.get(id) {
            self.depths.claimed(&entry.agent, &entry.tenant, entry.bytes, now.moment);
        }
        match store.shared {
            true => drop(self.schedule.forget(id)),
            false => self.schedule.leased(id),
        }
        let row = &store.rows[&id];
        if let Some(Phase::Leased(lease)) = row.live().map(|live| &live.phase) {
            self.leases.begin(lease.id, held(row, lease), now.moment.after(LEASE));
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

    /// Does what is due. `fails` says whether the store fails this time.
    pub(super) fn reap(&mut self, store: &mut Store, mut fails: impl FnMut() -> bool, now: Now) {
        let was_paused = now.moment.since(self.stepped_at) > PAUSED && store.shared;
        self.stepped_at = now.moment;
        self.beat += 1;
        for (_, lease) in store.notes.extract_if(.., |(process, _)| *process == self.number) {
            self.leases.end(lease);
        }
        if was_paused {
            // Nobody could renew anything meanwhile.
            self.leases.begin_again(now.moment.after(LEASE), now.moment.after(LEASE));
        }
        let due = self.leases.due(now.moment);
        if store.has(Fault::LeaseFreedEarly) {
            let some =
                self.leases.next_due().and_then(|_| self.leases.due(now.moment.after(LEASE / 2)).first().copied());
            some.into_iter().for_each(|lease| self.free(store, lease, now));
        }
        let never = store.has(Fault::LeaseNotFreed);
        for lease in due {
            if !never && !fails() {
                self.free(store, lease, now);
            }
            self.leases.keep(lease, now.moment.after(AGAIN));
        }
        let expired = match store.shared {
            false => self.schedule.due(now.moment),
            true => {
                let passed = |row: &&Row| row.deadline_wall.is_some_and(|at| at <= self.now(now).wall);
                store.live_rows().filter(passed).map(|row| row.id).collect()
            }
        };
        let ignored = store.has(Fault::DeadlineIgnored);
        for id in expired.into_iter().filter(|_| !ignored) {
            if fails() {
                self.schedule.expire_again(id, now.moment.after(AGAIN));
            } else if let Ok(step) = store.change(id, now, |live| Ok(live.expired(now.wall))) {
                self.stepped(store, id, &step, now);
            }
        }
    }

    /// Frees a lease, if it is still its keeper's and its stream's.
    pub(super) fn free(&mut self, store: &mut Store, lease: Uuid, now: Now) {
        let Some(held) = self.leases.get(lease).cloned() else { return };
        self.leases.free(lease);
        let keeper = store.rows.get(&held.invocation).and_then(|row| row.keeper);
        let step = match keeper == Some(self.number) {
            true => store.change(held.invocation, now, |live| live.lost(lease, held.stream, LOST_MAX, now.wall)),
            false => Err(NotHeld),
        };
        match step {
            Ok(step) => self.stepped(store, held.invocation, &step, now),
            // Another process has it, or it has ended there.
            Err(NotHeld) => self.leases.freed_elsewhere(lease),
        }
    }

    /// Takes over the leases of processes whose beat it has seen unchanged for too long.
    pub(super) fn watch(&mut self, others: &[(usize, u64)], store: &mut Store, now: Now) {
        for &(other, beat) in others {
            let seen = self.seen.entry(other).or_insert((beat, now.moment));
            if seen.0 != beat {
                *seen = (beat, now.moment);
            }
            if now.moment.since(seen.1) < DEAD {
                continue;
            }
            let theirs = |row: &&Row| row.keeper == Some(other);
            let rows: Vec<Row> = store.live_rows().filter(theirs).cloned().collect();
            for row in rows {
                let Some(lease) = row.live().and_then(|live| live.lease().cloned()) else { continue };
                self.keep(&row, &lease, now.moment.after(LEASE), Confines::Unknown);
                store.rows.entry(row.id).and_modify(|row| row.keeper = Some(self.number));
                store.notes.push((other, lease.id));
                store.says(Happened::Renewed { lease: lease.id, at: now.moment });
                // Where its worker is, the new keeper does not know: to it the stream is broken.
                let broken = lease.stream.map(|stream| Happened::Broke { stream, at: now.moment });
                broken.into_iter().for_each(|broken| store.says(broken));
            }
        }
    }

    /// A stream of it breaks.
    pub(super) fn broke(&mut self, stream: Uuid, worker: &str, now: Now) {
        self.demand.leave(stream);
        self.leases.broke(stream, worker.into(), Confines::To(None), now.moment.after(GRACE));
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
