//! Dice: what callers, workers, clocks and machines do to the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_resilience::Backoff;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::ATTEMPTS_MAX;
use super::fault::Fault;
use super::history::Happened;
use super::process::Process;
use super::store::Store;
use super::workers::Worker;
use crate::domain::retry::RetryPolicy;
use crate::domain::time::{Moment, Now};

pub(super) const WORKERS: usize = 5;

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
    pub(super) ids: u128,
    pub(super) keys: u64,
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

    pub(super) fn injected(&mut self, kind: &'static str) {
        self.store.says(Happened::Injected(kind));
    }

    pub(super) fn pass(&mut self, span: Duration) {
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
}

pub(super) fn retry(fault: Option<Fault>) -> RetryPolicy {
    RetryPolicy {
        attempts_max: if fault == Some(Fault::LostAttempts) { 1 } else { ATTEMPTS_MAX },
        backoff: Backoff::doubling(Duration::from_millis(500), Duration::from_secs(5)),
        final_reasons: Vec::new(),
    }
}
