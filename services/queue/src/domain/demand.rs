//! Who wants work: workers with room, and which of them gets what is ready.
//!
//! A worker stands in a line for each of its agent types: in the one of its tenant where it is confined to one, else in
//! the open one. Only lines that are *awake* are looked at: those where work or a worker has come since there was
//! nothing to do. So nothing here looks through workers, tenants or agent types that have nothing to do with each other.

mod line;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::schedule::Schedule;
use line::{Line, Lines};

/// A stream, or one unary call that waits.
pub type WorkerId = Uuid;

/// What a promise takes beside its payload, roughly.
const PROMISE_BYTES: usize = 512;

#[derive(Debug)]
struct Worker {
    agents: Vec<Arc<str>>,
    tenant: Option<Arc<str>>,
    credits: u32,
    /// Bytes that are promised to it and not yet on their way.
    promised: usize,
    /// Beside `agents`: its ticket in that type's line, while it stands there.
    tickets: Vec<Option<u64>>,
    /// Where its search for the next type begins: behind the one that it was given last.
    next: usize,
}

/// Workers with room.
#[derive(Debug, Default)]
pub struct Demand {
    workers: HashMap<WorkerId, Worker>,
    lines: Lines,
    awake: BTreeSet<Line>,
    /// The line that was served last: the next one follows it.
    served: Option<Line>,
    /// Workers with room that could not be sent anything.
    blocked: BTreeSet<WorkerId>,
}

impl Demand {
    /// A worker comes, for these agent types, confined to a tenant or not.
    pub fn join(&mut self, id: WorkerId, mut agents: Vec<Arc<str>>, tenant: Option<Arc<str>>, credits: u32) {
        agents.sort();
        agents.dedup();
        let tickets = vec![None; agents.len()];
        self.workers.insert(id, Worker { agents, tenant, credits: 0, promised: 0, tickets, next: 0 });
        self.add(id, credits);
    }

    /// A worker has more room.
    pub fn add(&mut self, id: WorkerId, credits: u32) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.credits = worker.credits.saturating_add(credits);
        if worker.credits > 0 {
            self.stand(id);
        }
    }

    /// Workers that could not be sent anything may be asked again.
    pub fn resume(&mut self) {
        for id in std::mem::take(&mut self.blocked) {
            self.add(id, 0);
        }
    }

    /// A promise of so many bytes was kept, or could not be: it may be sent something else.
    pub fn answered(&mut self, id: WorkerId, bytes: usize) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.promised = worker.promised.saturating_sub(bytes + PROMISE_BYTES);
        if self.blocked.remove(&id) {
            self.stand(id);
        }
    }

    /// A worker goes; the room that it still had.
    pub fn leave(&mut self, id: WorkerId) -> u32 {
        let Some(worker) = self.workers.remove(&id) else { return 0 };
        self.blocked.remove(&id);
        for (agent, ticket) in worker.agents.iter().zip(&worker.tickets) {
            if let Some(ticket) = ticket {
                self.lines.remove(&(Arc::clone(agent), worker.tenant.clone()), *ticket);
            }
        }
        worker.credits
    }

    /// The agent types that workers ask for, whether these have room or not.
    #[must_use]
    pub fn agents(&self) -> HashSet<Arc<str>> {
        self.workers.values().flat_map(|worker| worker.agents.iter().cloned()).collect()
    }

    /// Whether a worker waits that may have room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Gives what is ready to those who have room, at most so many pairs. `takes` says whether a worker can be sent
    /// anything just now, to whom so many bytes are promised already; one that cannot is asked again after
    /// [`resume`](Self::resume), or when a promise is [`answered`](Self::answered). The lines take turns.
    pub fn pair(
        &mut self,
        schedule: &mut Schedule,
        pairs_max: usize,
        takes: impl Fn(WorkerId, usize) -> bool,
    ) -> Vec<(WorkerId, Uuid)> {
        self.pair_but(schedule, pairs_max, takes, |_| false)
    }

    /// The same, but for agent types that must wait: not everything of theirs that is ready is known yet.
    pub fn pair_but(
        &mut self,
        schedule: &mut Schedule,
        pairs_max: usize,
        takes: impl Fn(WorkerId, usize) -> bool,
        waits: impl Fn(&str) -> bool,
    ) -> Vec<(WorkerId, Uuid)> {
        while let Some((agent, tenant)) = schedule.woken() {
            for line in [(Arc::clone(&agent), None), (agent, Some(tenant))] {
                if self.lines.first(&line).is_some() {
                    self.awake.insert(line);
                }
            }
        }
        let mut pairs = Vec::new();
        let mut aside = Vec::new();
        while pairs.len() < pairs_max
            && let Some(line) = self.next_awake()
        {
            if waits(&line.0) {
                self.awake.remove(&line);
                aside.push(line);
                continue;
            }
            match self.serve(schedule, &line, &takes) {
                Some(pair) => pairs.push(pair),
                None => drop(self.awake.remove(&line)),
            }
            self.served = Some(line);
        }
        self.awake.extend(aside);
        pairs
    }

    /// Promises something new of so many bytes, for which nobody waits before it, to the first worker that can have it: one
    /// of its tenant's own, for these can do nothing else.
    pub fn reserve(
        &mut self,
        (agent, tenant): (&str, &str),
        bytes: usize,
        takes: impl Fn(WorkerId, usize) -> bool,
    ) -> Option<WorkerId> {
        let lines = self.lines.for_work(agent, tenant);
        let (line, id) = lines.into_iter().find_map(|line| self.first(&line, &takes).map(|id| (line, id)))?;
        let worker = self.workers.get_mut(&id)?;
        worker.credits -= 1;
        worker.promised += bytes + PROMISE_BYTES;
        self.moves_back(id, &line.0);
        Some(id)
    }

    /// One pair of a line; none when there is no work for it, or no worker in it.
    fn serve(
        &mut self,
        schedule: &mut Schedule,
        line: &Line,
        takes: &impl Fn(WorkerId, usize) -> bool,
    ) -> Option<(WorkerId, Uuid)> {
        if !has_work(schedule, &line.0, line.1.as_deref()) {
            return None;
        }
        let id = self.first(line, takes)?;
        let worker = self.workers.get_mut(&id)?;
        let agent = worker.next_agent(schedule)?;
        let invocation = schedule.take(&agent, worker.tenant.as_deref())?;
        worker.credits -= 1;
        worker.promised += schedule.get(invocation).map_or(0, |entry| entry.bytes) + PROMISE_BYTES;
        self.moves_back(id, &line.0);
        if agent != line.0 {
            self.moves_back(id, &agent);
        }
        Some((id, invocation))
    }

    /// The first worker of a line that has room and can be sent something. Others do not stay in it.
    fn first(&mut self, line: &Line, takes: &impl Fn(WorkerId, usize) -> bool) -> Option<WorkerId> {
        loop {
            let id = self.lines.first(line)?;
            let worker = self.workers.get_mut(&id)?;
            if worker.credits > 0 && takes(id, worker.promised) {
                return Some(id);
            }
            if worker.credits > 0 {
                self.blocked.insert(id);
            }
            if let Some(ticket) = worker.ticket(&line.0).and_then(Option::take) {
                self.lines.remove(line, ticket);
            }
        }
    }

    /// A worker stands in all of its lines.
    fn stand(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        for (agent, ticket) in worker.agents.iter().zip(&mut worker.tickets) {
            if ticket.is_none() {
                let line = (Arc::clone(agent), worker.tenant.clone());
                *ticket = Some(self.lines.push(&line, id));
                self.awake.insert(line);
            }
        }
    }

    /// Workers of one type take turns.
    fn moves_back(&mut self, id: WorkerId, agent: &Arc<str>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let line = (Arc::clone(agent), worker.tenant.clone());
        let Some(ticket) = worker.ticket(agent) else { return };
        if let Some(old) = ticket.take() {
            self.lines.remove(&line, old);
        }
        *ticket = Some(self.lines.push(&line, id));
    }

    fn next_awake(&self) -> Option<Line> {
        let after = self.served.as_ref().and_then(|served| {
            let behind = (std::ops::Bound::Excluded(served), std::ops::Bound::Unbounded);
            self.awake.range(behind).next()
        });
        after.or_else(|| self.awake.first()).cloned()
    }
}

impl Worker {
    /// The next one in turn of its types that has work for it.
    fn next_agent(&mut self, schedule: &Schedule) -> Option<Arc<str>> {
        let count = self.agents.len();
        let tenant = self.tenant.as_deref();
        let turns = (0..count).map(|step| (self.next + step) % count);
        let position = turns.into_iter().find(|position| has_work(schedule, &self.agents[*position], tenant))?;
        self.next = (position + 1) % count;
        Some(Arc::clone(&self.agents[position]))
    }

    fn ticket(&mut self, agent: &Arc<str>) -> Option<&mut Option<u64>> {
        let position = self.agents.binary_search(agent).ok()?;
        self.tickets.get_mut(position)
    }
}

fn has_work(schedule: &Schedule, agent: &str, tenant: Option<&str>) -> bool {
    match tenant {
        Some(tenant) => schedule.len_of(agent, tenant) > 0,
        None => schedule.has_ready(agent),
    }
}

#[cfg(test)]
mod tests;
