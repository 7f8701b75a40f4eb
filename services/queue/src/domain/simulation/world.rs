//! A queue made of the core's parts, its store a map that commits at once or fails, its workers dice.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_resilience::Backoff;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::history::{Happened, History};
use crate::domain::demand::Demand;
use crate::domain::invocation::{Failure, Payload, Usage};
use crate::domain::leases::{Confines, Held, Leases};
use crate::domain::record::{Live, Phase};
use crate::domain::retry::{FREE_RELEASES, RetryPolicy};
use crate::domain::schedule::{Entry, Place, Schedule, turn};
use crate::domain::time::{Moment, Now};
use crate::domain::transition::{Grant, NotHeld, Step};

const LEASE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(1);
const LOST_MAX: u32 = 4;
const AGEING: Duration = Duration::from_secs(10);

/// What the store holds of an invocation: it survives a restart.
#[derive(Clone)]
struct Row {
    entry: Entry,
    deadline_wall: Option<i64>,
    live: Live,
}

pub(super) struct World {
    rng: SmallRng,
    pub(super) history: History,
    now: Now,
    ids: u128,
    rows: BTreeMap<Uuid, Row>,
    session_orders: BTreeMap<i64, i64>,
    session_fences: BTreeMap<i64, u64>,
    schedule: Schedule,
    demand: Demand,
    leases: Leases,
    streams: Vec<Uuid>,
    /// Leases as workers remember them, over or not: (invocation, lease).
    remembered: Vec<(Uuid, Uuid)>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: SmallRng::seed_from_u64(seed),
            history: History::default(),
            now: Now { wall: 1_000_000_000, moment: Moment(1_000_000) },
            ids: 0,
            rows: BTreeMap::new(),
            session_orders: BTreeMap::new(),
            session_fences: BTreeMap::new(),
            schedule: Schedule::default(),
            demand: Demand::default(),
            leases: Leases::default(),
            streams: Vec::new(),
            remembered: Vec::new(),
        };
        world.connect();
        world
    }

    pub(super) fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..25 => self.accept(),
            25..50 => self.finish(),
            50..60 => self.heartbeat(),
            60..85 => {
                let millis = self.rng.random_range(1..3_000);
                self.pass(Duration::from_millis(millis));
            }
            85..88 => self.now.wall += self.rng.random_range(-3_600_000_000..3_600_000_000_i64),
            88..92 => self.break_stream(),
            92..94 => self.connect(),
            94..97 => self.cancel(),
            97..99 => self.restart(),
            _ => self.connect(),
        }
        self.reap();
        self.dispatch();
    }

    /// Workers that do their work until nothing is left.
    pub(super) fn settle_everything(&mut self) {
        self.connect();
        for _ in 0..10_000 {
            if self.rows.is_empty() {
                return;
            }
            self.pass(Duration::from_secs(60));
            self.demand.add(self.streams[self.streams.len() - 1], 10);
            self.reap();
            self.dispatch();
            self.remembered.retain(|(id, _)| self.rows.contains_key(id));
            for (id, lease) in self.remembered.clone() {
                self.apply(id, |live, now| live.completed(lease, Payload::default(), Usage::default(), now));
            }
        }
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn pass(&mut self, span: Duration) {
        self.now.moment = self.now.moment.after(span);
        self.now.wall += span.as_micros() as i64;
    }

    fn accept(&mut self) {
        let id = self.id();
        let place = self.rng.random_bool(0.5).then(|| {
            let session = self.rng.random_range(1..4);
            let order = self.session_orders.entry(session).or_default();
            *order += 1;
            Place { session, order: *order }
        });
        let in_wall = |rng: &mut SmallRng, now: Now| now.wall + rng.random_range(0..20_000_000);
        let deadline_wall = self.rng.random_bool(0.2).then(|| in_wall(&mut self.rng, self.now));
        let not_before = self.rng.random_bool(0.2).then(|| in_wall(&mut self.rng, self.now));
        let entry = Entry {
            id,
            seq: self.ids as i64,
            agent: "a".into(),
            tenant: if self.rng.random_bool(0.5) { "t".into() } else { "u".into() },
            turn: turn(not_before.unwrap_or(self.now.wall), self.rng.random_range(-1..=1), AGEING),
            place,
            ready_at: not_before.map(|at| self.now.moment_of(at)),
            deadline: deadline_wall.map(|at| self.now.moment_of(at)),
            accepted_at: self.now.moment,
            bytes: 1,
        };
        let session = place.map(|place| place.session);
        self.history.events.push(Happened::Accepted { id, session, deadline: entry.deadline });
        self.rows.insert(id, Row { entry: entry.clone(), deadline_wall, live: Live::accepted(not_before) });
        self.schedule.accept(entry, self.now.moment);
    }

    fn dispatch(&mut self) {
        for (worker, id) in self.demand.pair(&mut self.schedule, 100, |_| true) {
            if self.rng.random_bool(0.1) {
                // The store failed: the promise is taken back.
                self.schedule.requeued(id, None, self.now.moment);
                self.demand.add(worker, 1);
            } else {
                self.claim(worker, id);
            }
        }
    }

    fn claim(&mut self, worker: Uuid, id: Uuid) {
        let lease = self.id();
        let Some(row) = self.rows.get_mut(&id) else { panic!("the schedule promised {id}, which has ended") };
        let grant = Grant { lease, worker: "w".into(), stream: Some(worker) };
        let session = row.entry.place.map(|place| place.session);
        let last = session.and_then(|session| self.session_fences.get(&session).copied()).unwrap_or(0);
        let granted = row.live.clone().granted(&grant, last, self.now.wall);
        row.live = granted.expect("the schedule promised what waits");
        let fence = row.live.fence;
        if let Some(session) = session {
            self.session_fences.insert(session, fence);
        }
        self.history.events.push(Happened::Leased { id, lease, fence, at: self.now.moment });
        let tenant = row.entry.tenant.clone();
        let held = Held { invocation: id, tenant, worker: "w".into(), stream: Some(worker), token: "".into() };
        self.schedule.leased(id);
        self.leases.begin(lease, held, self.now.moment.after(LEASE));
        self.remembered.push((id, lease));
    }

    /// A worker ends something that it remembers, in force or not, perhaps for the second time.
    fn finish(&mut self) {
        let Some((id, lease)) = self.pick() else { return };
        let jitter = self.rng.random();
        match self.rng.random_range(0..10) {
            0..5 => self.apply(id, |live, now| live.completed(lease, Payload::default(), Usage::default(), now)),
            5..8 => {
                let failure = Failure { reason: "BUSY".into(), message: String::new(), retryable: true };
                self.apply(id, |live, now| live.failed(lease, failure, Usage::default(), (&retry(), jitter), now));
            }
            _ => {
                let before = self.rng.random_range(0..2 * FREE_RELEASES);
                self.apply(id, |live, now| live.released(lease, before, now));
            }
        }
        if let Some(stream) = self.streams.last() {
            self.demand.add(*stream, 1);
        }
    }

    fn heartbeat(&mut self) {
        if let Some((_, lease)) = self.pick() {
            self.leases.renew(lease, self.now.moment.after(LEASE));
        }
    }

    fn pick(&mut self) -> Option<(Uuid, Uuid)> {
        let place = self.rng.random_range(0..self.remembered.len().max(1));
        self.remembered.get(place).copied()
    }

    fn cancel(&mut self) {
        let place = self.rng.random_range(0..self.rows.len().max(1));
        if let Some(id) = self.rows.keys().nth(place).copied() {
            self.apply(id, |live, now| Ok(live.cancelled("", now)));
        }
    }

    /// One compare-and-set in the store, and what memory makes of it.
    fn apply(&mut self, id: Uuid, change: impl FnOnce(Live, i64) -> Result<Step, NotHeld>) {
        let Some(row) = self.rows.get_mut(&id) else { return self.history.events.push(Happened::Refused) };
        match change(row.live.clone(), self.now.wall) {
            Err(NotHeld) => self.history.events.push(Happened::Refused),
            Ok(Step::Requeued { live, tried }) => {
                row.live = live;
                let lost = tried.kind.failure().is_some() && !tried.kind.counts();
                self.history.events.push(Happened::Requeued { id, lost });
                self.leases.end(tried.lease.id);
                let ready_at = tried.next_at.map(|at| self.now.moment_of(at));
                self.schedule.requeued(id, ready_at, self.now.moment);
            }
            Ok(Step::Ended { ended, raise, .. }) => {
                self.rows.remove(&id);
                self.history.events.push(Happened::Ended { id, status: ended.outcome.status(), raise });
                if let Some(lease) = ended.lease {
                    self.leases.end(lease.id);
                }
                self.schedule.ended(id, self.now.moment);
            }
        }
    }

    fn reap(&mut self) {
        for id in self.schedule.due(self.now.moment) {
            if self.rng.random_bool(0.1) {
                self.schedule.expire_again(id, self.now.moment.after(AGAIN));
            } else {
                self.apply(id, |live, now| Ok(live.expired(now)));
            }
        }
        for lease in self.leases.due(self.now.moment) {
            let Some(held) = self.leases.get(lease).cloned() else { continue };
            if self.rng.random_bool(0.9) {
                self.apply(held.invocation, |live, now| live.lost(lease, held.stream, LOST_MAX, now));
            }
            self.leases.keep(lease, self.now.moment.after(AGAIN));
        }
    }

    fn connect(&mut self) {
        let stream = self.id();
        self.streams.push(stream);
        self.demand.join(stream, vec!["a".into()], None, 3);
        for broken in self.leases.returned("w", None) {
            for lease in self.leases.of_stream(broken) {
                let Some(held) = self.leases.get(lease).cloned() else { continue };
                if self.rng.random_bool(0.5) {
                    self.adopt(lease, &held, stream);
                } else {
                    self.apply(held.invocation, |live, now| live.lost(lease, held.stream, LOST_MAX, now));
                }
            }
        }
    }

    fn adopt(&mut self, lease: Uuid, held: &Held, stream: Uuid) {
        let Some(row) = self.rows.get_mut(&held.invocation) else { return };
        if let Ok(adopted) = row.live.clone().adopted(lease, held.stream, Some(stream)) {
            row.live = adopted;
            self.leases.adopt(lease, stream, self.now.moment.after(LEASE));
        }
    }

    fn break_stream(&mut self) {
        if let Some(stream) = self.streams.pop() {
            self.demand.leave(stream);
            self.leases.broke(stream, "w".into(), Confines::To(None), self.now.moment.after(GRACE));
        }
    }

    /// Memory is gone; the store is not. The monotonic clock begins anew.
    fn restart(&mut self) {
        self.history.events.push(Happened::Restarted);
        self.pass(Duration::from_secs(1));
        self.schedule = Schedule::default();
        self.demand = Demand::default();
        self.leases = Leases::default();
        self.streams.clear();
        let until = self.now.moment.after(LEASE);
        for row in self.rows.values_mut() {
            // After a restart only the wall clock knows how much of a delay is left.
            let mut entry = row.entry.clone();
            entry.deadline = row.deadline_wall.map(|at| self.now.moment_of(at));
            if let Some(at) = entry.deadline {
                self.history.events.push(Happened::DeadlineIs { id: entry.id, at });
            }
            match &row.live.phase {
                Phase::Queued { next_at } => {
                    entry.ready_at = next_at.map(|at| self.now.moment_of(at));
                    self.schedule.accept(entry.clone(), self.now.moment);
                }
                Phase::Leased(lease) => {
                    let tenant = entry.tenant.clone();
                    let held = Held {
                        invocation: entry.id,
                        tenant,
                        worker: "w".into(),
                        stream: lease.stream,
                        token: "".into(),
                    };
                    self.schedule.accept_leased(entry.clone());
                    self.leases.begin(lease.id, held, until);
                    if let Some(stream) = lease.stream {
                        self.leases.broke(stream, "w".into(), Confines::Unknown, until);
                    }
                }
            }
            row.entry = entry;
        }
        self.connect();
    }
}

fn retry() -> RetryPolicy {
    RetryPolicy {
        attempts_max: 3,
        backoff: Backoff::doubling(Duration::from_millis(500), Duration::from_secs(5)),
        final_reasons: Vec::new(),
    }
}
