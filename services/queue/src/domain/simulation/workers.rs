//! What workers do: they end what they hold, in force or not, perhaps for the second time; they fall silent, come back
//! under another stream, or never.

use rand::RngExt;
use uuid::Uuid;

use super::fault::Fault;
use super::history::Happened;
use super::world::{World, retry};
use super::{LEASE, TENANTS};
use crate::domain::invocation::{Failure, Payload, Usage};
use crate::domain::record::{Live, Standing};
use crate::domain::retry::FREE_RELEASES;
use crate::domain::transition::{NotHeld, Step};

pub(super) struct Worker {
    pub(super) name: String,
    /// The tenant that it is confined to.
    pub(super) tenant: Option<usize>,
    /// The process and the stream.
    pub(super) stream: Option<(usize, Uuid)>,
    /// What it believes to hold: (invocation, lease).
    pub(super) held: Vec<(Uuid, Uuid)>,
    /// What it held once.
    old: Vec<(Uuid, Uuid)>,
}

/// How a worker ends a lease.
#[derive(Clone, Copy)]
enum Ending {
    Complete,
    Fail { jitter: f64 },
    Release { before: usize },
}

impl Worker {
    pub(super) fn new(number: usize) -> Self {
        let tenant = (number == 4).then_some(1);
        Self { name: format!("w{number}"), tenant, stream: None, held: Vec::new(), old: Vec::new() }
    }

    fn agents(&self) -> Vec<std::sync::Arc<str>> {
        match self.name.as_str() {
            "w0" => vec!["a".into()],
            _ => vec!["a".into(), "b".into()],
        }
    }
}

impl World {
    pub(super) fn credit(&mut self, worker: usize, credits: u32) {
        if let Some((process, stream)) = self.workers[worker].stream
            && self.processes[process].works()
        {
            self.processes[process].demand.add(stream, credits);
        }
    }

    /// Somebody ends something that it holds or held.
    pub(super) fn finish(&mut self) {
        let worker = self.rng.random_range(0..self.workers.len());
        let stale = self.rng.random_bool(0.15);
        let of = if stale { &self.workers[worker].old } else { &self.workers[worker].held };
        if of.is_empty() {
            return;
        }
        let (id, lease) = of[self.rng.random_range(0..of.len())];
        let ending = match self.rng.random_range(0..10) {
            0..5 => Ending::Complete,
            5..8 => Ending::Fail { jitter: self.rng.random() },
            _ => Ending::Release { before: self.rng.random_range(0..2 * FREE_RELEASES) },
        };
        self.end(worker, id, lease, ending);
    }

    pub(super) fn finish_everything(&mut self) {
        for worker in 0..self.workers.len() {
            for (id, lease) in self.workers[worker].held.clone() {
                self.end(worker, id, lease, Ending::Complete);
            }
            self.credit(worker, 10);
        }
    }

    /// One end of a lease, through any process, whose answer may be lost: then the worker says it again later.
    fn end(&mut self, worker: usize, id: Uuid, lease: Uuid, ending: Ending) {
        let Some(number) = self.working() else { return };
        let (fault, now) = (self.store.fault, self.processes[number].now(self.now));
        let again = self.store.was_settled_by(id, lease);
        if again {
            self.store.says(Happened::Injected("repeated ends"));
        }
        let counts = if again {
            fault != Some(Fault::RepeatRefused)
        } else if self.fails() {
            return;
        } else {
            let change = |live: Live| settle(live, lease, ending, fault, now.wall);
            match self.store.change(id, now, change) {
                Ok(step) => {
                    self.processes[number].stepped(&self.store, id, &step, now);
                    true
                }
                Err(NotHeld) => false,
            }
        };
        if !self.calm && self.rng.random_bool(0.15) {
            return self.store.says(Happened::Injected("lost replies"));
        }
        self.store.says(Happened::Told { lease, counts });
        let worker_is = &mut self.workers[worker];
        worker_is.held.retain(|(_, held)| *held != lease);
        worker_is.old.push((id, lease));
        if worker_is.old.len() > 8 {
            worker_is.old.remove(0);
        }
        self.credit(worker, 1);
    }

    /// Every worker that is connected renews what it holds.
    pub(super) fn heartbeat(&mut self) {
        for worker in 0..self.workers.len() {
            let Some((process, _)) = self.workers[worker].stream else { continue };
            if !self.processes[process].works() {
                continue;
            }
            let at = self.now.moment;
            for (id, lease) in self.workers[worker].held.clone() {
                if self.processes[process].leases.renew(lease, at.after(LEASE)) {
                    self.store.says(Happened::Renewed { lease, at });
                } else {
                    self.workers[worker].held.retain(|(_, held)| *held != lease);
                    self.workers[worker].old.push((id, lease));
                }
            }
        }
    }

    pub(super) fn break_stream(&mut self) {
        let worker = self.rng.random_range(0..self.workers.len());
        if self.workers[worker].stream.is_some() {
            self.store.says(Happened::Injected("broken streams"));
            self.breaks(worker);
        }
    }

    pub(super) fn breaks(&mut self, worker: usize) {
        let Some((process, stream)) = self.workers[worker].stream.take() else { return };
        self.store.says(Happened::Broke { stream, at: self.now.moment });
        if self.processes[process].alive {
            let name = self.workers[worker].name.clone();
            self.processes[process].broke(stream, &name, self.now);
        }
    }

    /// A worker dies, or only falls silent and comes back with what it had long lost.
    pub(super) fn lose_worker(&mut self) {
        let worker = self.rng.random_range(0..self.workers.len());
        self.store.says(Happened::Injected("lost workers"));
        let held = std::mem::take(&mut self.workers[worker].held);
        if self.rng.random_bool(0.5) {
            self.workers[worker].old.extend(held);
        } else {
            self.workers[worker].old.clear();
            // Nobody of that name comes back.
            self.breaks(worker);
            let next = self.id();
            self.workers[worker].name = format!("w{worker}-{next}");
        }
    }

    pub(super) fn reconnect(&mut self) {
        for worker in 0..self.workers.len() {
            if self.workers[worker].stream.is_none() {
                self.connect(worker);
            }
        }
    }

    /// A worker opens a stream at some process and names what it holds, perhaps not all of it.
    pub(super) fn connect(&mut self, worker: usize) {
        let Some(number) = self.working() else { return };
        let stream = self.id();
        self.workers[worker].stream = Some((number, stream));
        self.streams.insert(stream, worker);
        let mut named = Vec::new();
        for (id, lease) in std::mem::take(&mut self.workers[worker].held) {
            if (self.calm || self.rng.random_bool(0.8)) && self.adopt(number, id, lease, stream) {
                named.push(lease);
                self.workers[worker].held.push((id, lease));
            } else {
                self.workers[worker].old.push((id, lease));
            }
        }
        let name = self.workers[worker].name.clone();
        let now = self.now;
        for broken in self.processes[number].leases.returned(&name, None) {
            self.store.says(Happened::Returned { stream: broken });
            for lease in self.processes[number].leases.of_stream(broken) {
                if !named.contains(&lease) && !self.store.has(Fault::LeaseNotFreed) {
                    self.processes[number].free(&mut self.store, lease, now);
                }
            }
        }
        let (agents, tenant) = (self.workers[worker].agents(), self.workers[worker].tenant);
        let tenant = tenant.map(|tenant| TENANTS[tenant].0.into());
        self.processes[number].demand.join(stream, agents, tenant, 3);
    }

    /// A lease goes on under another stream, at another process perhaps.
    fn adopt(&mut self, number: usize, id: Uuid, lease: Uuid, stream: Uuid) -> bool {
        let Some(row) = self.store.rows.get_mut(&id) else { return false };
        let Some(live) = row.live().cloned() else { return false };
        let from = live.lease().and_then(|held| held.stream);
        let Ok(adopted) = live.adopted(lease, from, Some(stream)) else { return false };
        row.standing = Standing::Live(adopted);
        let before = row.keeper.replace(number);
        let row = row.clone();
        let (process, at) = (&mut self.processes[number], self.now.moment);
        if process.leases.get(lease).is_some() {
            process.leases.adopt(lease, stream, at.after(LEASE));
        } else if let Some(held) = row.live().and_then(|live| live.lease()) {
            process.begin(&row, held, at.after(LEASE));
        }
        self.store.notes.extend(before.filter(|before| *before != number).map(|before| (before, lease)));
        self.store.says(Happened::Renewed { lease, at });
        self.store.says(Happened::Adopted { lease, stream });
        true
    }
}

fn settle(live: Live, lease: Uuid, ending: Ending, fault: Option<Fault>, now: i64) -> Result<Step, NotHeld> {
    let lease = match (fault, live.lease()) {
        (Some(Fault::IgnoredFence), Some(held)) => held.id,
        _ => lease,
    };
    match ending {
        Ending::Complete => live.completed(lease, Payload::default(), Usage::default(), now),
        Ending::Fail { jitter } => {
            let failure = Failure { reason: "BUSY".into(), message: String::new(), retryable: true };
            live.failed(lease, failure, Usage::default(), (&retry(fault), jitter), now)
        }
        Ending::Release { before } => live.released(lease, before, now),
    }
}
