//! Dice: what callers, workers, clocks and machines do to the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_resilience::Backoff;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::fault::Fault;
use super::history::Happened;
use super::process::Process;
use super::store::{Row, Store};
use super::workers::Worker;
use super::{ATTEMPTS_MAX, TENANTS};
use crate::domain::record::{Live, Standing};
use crate::domain::retry::RetryPolicy;
use crate::domain::schedule::turn;
use crate::domain::time::{Moment, Now};
use crate::domain::transition::Grant;

const AGEING: Duration = Duration::from_secs(10);
const WORKERS: usize = 5;

pub(super) struct World {
    pub(super) rng: SmallRng,
    pub(super) store: Store,
    pub(super) now: Now,
    pub(super) processes: Vec<Process>,
    pub(super) workers: Vec<Worker>,
    /// Which worker a stream is.
    pub(super) streams: BTreeMap<Uuid, usize>,
    /// Nothing fails any more.
    pub(super) calm: bool,
    ids: u128,
    keys: u64,
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let shared = seed % 2 == 1;
        let now = Now { wall: 1_000_000_000, moment: Moment(1_000_000) };
        let mut world = Self {
            rng: SmallRng::seed_from_u64(seed),
            store: Store::new(shared, fault),
            now,
            processes: Vec::new(),
            workers: (0..WORKERS).map(Worker::new).collect(),
            streams: BTreeMap::new(),
            calm: false,
            ids: 0,
            keys: 0,
        };
        for _ in 0..if shared { 3 } else { 1 } {
            world.start_process();
        }
        (0..WORKERS).for_each(|worker| world.connect(worker));
        world
    }

    pub(super) fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..20 => self.submit(None),
            20..22 => self.rush(),
            22..48 => self.finish(),
            48..56 => self.heartbeat(),
            56..78 => {
                let millis = self.rng.random_range(1..3_000);
                self.pass(Duration::from_millis(millis));
            }
            78..80 => self.jump(),
            80..83 => self.break_stream(),
            83..88 => self.reconnect(),
            88..90 => self.lose_worker(),
            90..93 => self.cancel(),
            93..96 => self.redrive(),
            96..98 => self.kill(),
            _ => self.pause(),
        }
        self.serve();
    }

    /// Processes and workers that do their work until nothing is left.
    pub(super) fn settle_everything(&mut self) {
        self.calm = true;
        // What was put off by a clock that went back comes up.
        self.now.wall += Duration::from_secs(3_600).as_micros() as i64;
        self.processes.iter_mut().for_each(|process| (process.paused, process.skew) = (false, 0));
        if !self.store.shared {
            self.kill();
        }
        for _ in 0..300 {
            if self.store.is_done() {
                return;
            }
            self.pass(Duration::from_millis(1_500));
            self.reconnect();
            self.heartbeat();
            self.finish_everything();
            self.serve();
        }
    }

    pub(super) fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    pub(super) fn fails(&mut self) -> bool {
        !self.calm && self.rng.random_bool(0.1)
    }

    pub(super) fn working(&mut self) -> Option<usize> {
        let working: Vec<usize> = self.processes.iter().filter(|it| it.works()).map(|it| it.number).collect();
        (!working.is_empty()).then(|| working[self.rng.random_range(0..working.len())])
    }

    fn injected(&mut self, kind: &'static str) {
        self.store.says(Happened::Injected(kind));
    }

    fn pass(&mut self, span: Duration) {
        self.now.moment = self.now.moment.after(span);
        self.now.wall += span.as_micros() as i64;
    }

    /// A wall clock jumps: the machine's, or one of several.
    fn jump(&mut self) {
        self.injected("clock jumps");
        let by = self.rng.random_range(-600_000_000..600_000_000_i64);
        match self.working().filter(|_| self.store.shared) {
            Some(process) => self.processes[process].skew = by / 60,
            None => self.now.wall += by,
        }
    }

    fn submit(&mut self, rush_of: Option<usize>) {
        let Some(process) = self.working() else { return };
        let key = self.rng.random_bool(0.3).then(|| {
            self.keys += u64::from(self.keys == 0 || self.rng.random_bool(0.6));
            self.keys
        });
        let tenant = rush_of.unwrap_or_else(|| self.rng.random_range(0..TENANTS.len()));
        let agent = if rush_of.is_some() || self.rng.random_bool(0.7) { "a" } else { "b" };
        let (name, of) = (agent.into(), TENANTS[tenant].0.into());
        let now = self.now;
        let depths = &mut self.processes[process].depths;
        if self.store.has(Fault::LimitIgnored) {
            depths.waits(&name, &of, 1, now.moment);
        } else if depths.admit(&name, &of, 1, 0.5, now.moment).is_err() {
            return self.store.says(Happened::Full);
        }
        if self.fails() {
            self.processes[process].depths.withdrawn(&name, &of, 1, now.moment);
            self.injected("store failures");
            if self.store.has(Fault::EarlyAcknowledgement) {
                let id = self.id();
                self.store.says(Happened::Acknowledged { id });
            }
            return;
        }
        let id = match self.store.by_key(key) {
            Some(id) => {
                self.processes[process].depths.withdrawn(&name, &of, 1, now.moment);
                self.injected("duplicate submissions");
                id
            }
            None => self.accept(process, agent, tenant, key, rush_of.is_some()),
        };
        if self.rng.random_bool(0.9) {
            self.store.says(Happened::Acknowledged { id });
        } else {
            self.injected("lost replies");
        }
    }

    fn accept(&mut self, process: usize, agent: &'static str, tenant: usize, key: Option<u64>, plain: bool) -> Uuid {
        let id = self.id();
        let now = self.processes[process].now(self.now);
        let session = (!plain && self.rng.random_bool(0.4)).then(|| self.rng.random_range(1..4));
        let soon =
            |rng: &mut SmallRng| (!plain && rng.random_bool(0.2)).then(|| now.wall + rng.random_range(0..20_000_000));
        let (deadline_wall, not_before) = (soon(&mut self.rng), soon(&mut self.rng));
        let row = Row {
            id,
            seq: self.ids as i64,
            agent,
            tenant,
            turn: turn(not_before.unwrap_or(now.wall), self.rng.random_range(-1..=1), AGEING),
            place: session.map(|session| self.store.place(session)),
            key,
            deadline_wall,
            standing: Standing::Live(Live::accepted(not_before)),
            tries: Vec::new(),
            past: Vec::new(),
            keeper: None,
            deadline: deadline_wall.map(|at| now.moment_of(at)),
            ready_at: not_before.map(|at| now.moment_of(at)),
        };
        self.processes[process].accepted(&row, &self.store, now);
        self.store.accept(row);
        id
    }

    /// Every tenant submits much at once, and there are workers for it.
    fn rush(&mut self) {
        for tenant in (0..TENANTS.len()).flat_map(|tenant| [tenant; 14]) {
            self.submit(Some(tenant));
        }
        for worker in 0..WORKERS {
            self.credit(worker, 8);
        }
    }

    fn cancel(&mut self) {
        let Some(id) = self.any_row(|_| true) else { return };
        let Some(process) = self.working() else { return };
        let leased = self.store.rows[&id].live().is_some_and(|live| live.lease().is_some());
        if leased && self.store.has(Fault::CancelledCompletes) {
            return self.store.says(Happened::Cancelled { id });
        }
        let now = self.processes[process].now(self.now);
        if let Ok(step) = self.store.change(id, now, |live| Ok(live.cancelled("", now.wall))) {
            self.processes[process].stepped(&self.store, id, &step, now);
            self.store.says(Happened::Cancelled { id });
            self.injected("cancels");
        }
    }

    fn redrive(&mut self) {
        let Some(id) = self.any_row(|row| row.live().is_none()) else { return };
        let Some(process) = self.working() else { return };
        let (by, now) = (self.id(), self.processes[process].now(self.now));
        if self.store.redrive(id, by, now) {
            let row = self.store.rows[&id].clone();
            let process = &mut self.processes[process];
            process.depths.waits(&row.agent.into(), &Store::tenant_name(row.tenant).into(), 1, now.moment);
            process.accepted(&row, &self.store, now);
            self.injected("redrives");
        }
    }

    fn any_row(&mut self, which: impl Fn(&Row) -> bool) -> Option<Uuid> {
        let rows: Vec<Uuid> = self.store.rows.values().filter(|row| which(row)).map(|row| row.id).collect();
        (!rows.is_empty()).then(|| rows[self.rng.random_range(0..rows.len())])
    }

    /// A process dies, with everything in its memory. The only one is started again; of several, a new one comes later.
    fn kill(&mut self) {
        let Some(process) = self.working() else { return };
        self.injected("kills");
        self.processes[process].alive = false;
        self.processes[process].in_flight.clear();
        for worker in 0..WORKERS {
            if self.workers[worker].stream.is_some_and(|(at, _)| at == process) {
                self.breaks(worker);
            }
        }
        if !self.store.shared {
            self.pass(Duration::from_secs(1));
        }
        if !self.store.shared || self.processes.iter().filter(|it| it.alive).count() < 2 || self.rng.random_bool(0.5) {
            self.start_process();
        }
    }

    fn start_process(&mut self) {
        let mut process = Process::start(self.processes.len(), self.store.fault, self.now);
        if !self.store.shared {
            process.restore(&mut self.store, self.now);
        }
        self.processes.push(process);
    }

    /// A process that shares the store stands still for a while, perhaps between a promise and its commit.
    fn pause(&mut self) {
        let paused = self.processes.iter_mut().find(|it| it.alive && it.paused);
        match paused {
            Some(process) => process.paused = false,
            None if self.store.shared => {
                if let Some(process) = self.working() {
                    self.processes[process].paused = true;
                    self.injected("pauses");
                }
            }
            None => {}
        }
    }

    /// What every process does in turn: commit, reap, look, give out.
    fn serve(&mut self) {
        let beats: Vec<(usize, u64)> = self.processes.iter().map(|it| (it.number, it.beat)).collect();
        for number in 0..self.processes.len() {
            if !self.processes[number].works() {
                continue;
            }
            let now = self.now;
            if self.calm || self.rng.random_bool(0.5) {
                self.commit(number);
            }
            let (calm, rng) = (self.calm, &mut self.rng);
            let process = &mut self.processes[number];
            process.reap(&mut self.store, || !calm && rng.random_bool(0.1), now);
            if self.store.shared {
                let others: Vec<_> = beats.iter().copied().filter(|(other, _)| *other != number).collect();
                process.watch(&others, &mut self.store, now);
                if calm || self.rng.random_bool(0.7) {
                    process.look(&self.store, now);
                }
                if self.rng.random_bool(0.2) {
                    process.count(&self.store, now);
                    self.counted(number);
                }
            } else {
                self.counted(number);
            }
            self.dispatch(number);
        }
    }

    fn counted(&mut self, number: usize) {
        let (counts, are) = (self.processes[number].depths.waiting().0, self.store.queued());
        if counts != are {
            self.store.says(Happened::Counted { counts, are });
        }
    }

    fn dispatch(&mut self, number: usize) {
        let streams = &self.streams;
        let workers = &self.workers;
        let confined = |stream: Uuid| streams.get(&stream).is_some_and(|worker| workers[*worker].tenant.is_some());
        let picks = self.processes[number].picks(&mut self.store, confined);
        for (stream, id) in picks {
            if self.fails() {
                // The store failed: the promise is taken back.
                self.processes[number].schedule.requeued(id, None, self.now.moment);
                self.processes[number].demand.add(stream, 1);
            } else {
                self.processes[number].in_flight.push((stream, id));
            }
        }
        if self.calm || self.rng.random_bool(0.8) {
            self.commit(number);
        }
    }

    /// The promises on their way become durable, or find that things have changed.
    fn commit(&mut self, number: usize) {
        for (stream, id) in std::mem::take(&mut self.processes[number].in_flight) {
            let grant = Grant { lease: self.id(), worker: "w".into(), stream: Some(stream) };
            let name = self.streams.get(&stream).map(|worker| self.workers[*worker].name.clone());
            let grant = Grant { worker: name.unwrap_or_default().into(), ..grant };
            let now = self.now;
            let claimed = self.processes[number].claim(&mut self.store, (stream, id), &grant, now);
            if claimed
                && let Some(worker) = self.streams.get(&stream)
                && self.workers[*worker].stream == Some((number, stream))
            {
                self.workers[*worker].held.push((id, grant.lease));
            }
        }
    }
}

pub(super) fn retry(fault: Option<Fault>) -> RetryPolicy {
    RetryPolicy {
        attempts_max: if fault == Some(Fault::LostAttempts) { 1 } else { ATTEMPTS_MAX },
        backoff: Backoff::doubling(Duration::from_millis(500), Duration::from_secs(5)),
        final_reasons: Vec::new(),
    }
}
