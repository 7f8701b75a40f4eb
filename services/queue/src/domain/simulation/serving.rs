//! What processes do, in turn: commit, reap, look, give out. And what becomes of them: they die, start, stand still.

use std::time::Duration;

use rand::RngExt;
use uuid::Uuid;

use super::history::Happened;
use super::process::{Process, Promise};
use super::world::{WORKERS, World};
use crate::domain::transition::Grant;

impl World {
    /// A process dies, with everything in its memory. The only one is started again; of several, a new one comes later.
    pub(super) fn kill(&mut self) {
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

    pub(super) fn start_process(&mut self) {
        let mut process = Process::start(self.processes.len(), self.store.fault, self.now);
        if !self.store.shared {
            process.restore(&mut self.store, self.now);
        }
        self.processes.push(process);
    }

    /// A process that shares the store stands still for a while, perhaps between a promise and its commit.
    pub(super) fn pause(&mut self) {
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
    pub(super) fn serve(&mut self) {
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
                self.processes[number].in_flight.push(Promise { worker: stream, id, at: self.now });
            }
        }
        if self.calm || self.rng.random_bool(0.8) {
            self.commit(number);
        }
    }

    /// The promises on their way become durable, or find that things have changed.
    fn commit(&mut self, number: usize) {
        for promise in std::mem::take(&mut self.processes[number].in_flight) {
            let (stream, id) = (promise.worker, promise.id);
            let name = self.streams.get(&stream).map(|worker| self.workers[*worker].name.clone());
            let grant = Grant { lease: self.id(), worker: name.unwrap_or_default().into(), stream: Some(stream) };
            let claimed = self.processes[number].claim(&mut self.store, &promise, &grant, self.now.moment);
            if claimed
                && let Some(worker) = self.streams.get(&stream)
                && self.workers[*worker].stream == Some((number, stream))
            {
                self.workers[*worker].held.push((id, grant.lease));
            }
        }
    }
}
