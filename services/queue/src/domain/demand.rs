//! Who wants work: workers with room, and which of them gets what is ready.
//!
//! A worker is listed once under each of its agent types while it has room. Workers of one type take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::schedule::Schedule;

/// A stream, or one unary call that waits.
pub type WorkerId = Uuid;

#[derive(Debug)]
struct Worker {
    agents: Vec<Arc<str>>,
    tenant: Option<Arc<str>>,
    credits: u32,
    /// Beside `agents`: whether it stands in that type's line.
    listed: Vec<bool>,
}

/// Workers with room.
#[derive(Debug, Default)]
pub struct Demand {
    workers: HashMap<WorkerId, Worker>,
    lines: HashMap<Arc<str>, VecDeque<WorkerId>>,
    turn: usize,
}

impl Demand {
    /// A worker comes, for these agent types, confined to a tenant or not.
    pub fn join(&mut self, id: WorkerId, mut agents: Vec<Arc<str>>, tenant: Option<Arc<str>>, credits: u32) {
        agents.sort();
        agents.dedup();
        let listed = vec![false; agents.len()];
        self.workers.insert(id, Worker { agents, tenant, credits: 0, listed });
        self.add(id, credits);
    }

    /// A worker has more room.
    pub fn add(&mut self, id: WorkerId, credits: u32) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.credits = worker.credits.saturating_add(credits);
        if worker.credits == 0 {
            return;
        }
        for (agent, listed) in worker.agents.iter().zip(&mut worker.listed) {
            if !std::mem::replace(listed, true) {
                self.lines.entry(Arc::clone(agent)).or_default().push_back(id);
            }
        }
    }

    /// A worker goes; the room that it still had.
    pub fn leave(&mut self, id: WorkerId) -> u32 {
        let Some(worker) = self.workers.remove(&id) else { return 0 };
        for agent in &worker.agents {
            if let Some(line) = self.lines.get_mut(agent) {
                line.retain(|waiting| *waiting != id);
                if line.is_empty() {
                    self.lines.remove(agent);
                }
            }
        }
        worker.credits
    }

    /// Gives what is ready to those who have room, at most so many pairs. `takes` says whether a worker can be sent
    /// anything just now.
    pub fn pair(
        &mut self,
        schedule: &mut Schedule,
        pairs_max: usize,
        takes: impl Fn(WorkerId) -> bool,
    ) -> Vec<(WorkerId, Uuid)> {
        let mut pairs = Vec::new();
        let mut agents: Vec<Arc<str>> = self.lines.keys().filter(|agent| schedule.has_ready(agent)).cloned().collect();
        if agents.is_empty() {
            return pairs;
        }
        // A worker's room must not always go to the same one of its types.
        agents.sort();
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % agents.len();
        agents.rotate_left(first);
        for agent in agents {
            self.pair_agent(schedule, &agent, pairs_max, &takes, &mut pairs);
        }
        pairs
    }

    /// Promises something new, for which nobody waits before it, to the first worker that can have it.
    pub fn reserve(&mut self, agent: &str, tenant: &str, takes: impl Fn(WorkerId) -> bool) -> Option<WorkerId> {
        let line = self.lines.get_mut(agent)?;
        let fits = |id: &WorkerId| {
            let worker = self.workers.get(id);
            worker.is_some_and(|worker| worker.credits > 0 && worker.may_have(tenant)) && takes(*id)
        };
        let position = line.iter().position(fits)?;
        let id = line.remove(position)?;
        line.push_back(id);
        self.workers.get_mut(&id)?.credits -= 1;
        Some(id)
    }

    fn pair_agent(
        &mut self,
        schedule: &mut Schedule,
        agent: &Arc<str>,
        pairs_max: usize,
        takes: &impl Fn(WorkerId) -> bool,
        pairs: &mut Vec<(WorkerId, Uuid)>,
    ) {
        let Some(mut line) = self.lines.remove(agent) else { return };
        // Those for whom nothing is here keep their place in the line.
        let mut aside = VecDeque::new();
        while pairs.len() < pairs_max
            && let Some(id) = line.pop_front()
        {
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            if worker.credits == 0 {
                worker.unlist(agent);
                continue;
            }
            if !takes(id) {
                aside.push_back(id);
                continue;
            }
            match schedule.take(agent, worker.tenant.as_deref()) {
                Some(invocation) => {
                    worker.credits -= 1;
                    pairs.push((id, invocation));
                    line.push_back(id);
                }
                None if worker.tenant.is_none() => {
                    line.push_front(id);
                    break;
                }
                None => aside.push_back(id),
            }
        }
        aside.extend(line);
        if !aside.is_empty() {
            self.lines.insert(Arc::clone(agent), aside);
        }
    }
}

impl Worker {
    fn may_have(&self, tenant: &str) -> bool {
        self.tenant.as_deref().is_none_or(|own| own == tenant)
    }

    fn unlist(&mut self, agent: &Arc<str>) {
        if let Ok(position) = self.agents.binary_search(agent) {
            self.listed[position] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::tests::entry;
    use crate::domain::time::Moment;

    fn schedule(entries: &[(u128, &str, &str)]) -> Schedule {
        let mut schedule = Schedule::default();
        for (seq, tenant, agent) in entries {
            schedule.accept(entry(*seq, tenant, agent), Moment(0));
        }
        schedule
    }

    fn worker(n: u128) -> WorkerId {
        Uuid::from_u128(1_000 + n)
    }

    #[test]
    fn credits_bound_what_a_worker_gets() {
        let mut schedule = schedule(&[(1, "t", "a"), (2, "t", "a"), (3, "t", "a")]);
        let mut demand = Demand::default();
        demand.join(worker(1), vec!["a".into()], None, 2);
        assert_eq!(demand.pair(&mut schedule, 100, |_| true).len(), 2);
        assert!(demand.pair(&mut schedule, 100, |_| true).is_empty());
        demand.add(worker(1), 5);
        assert_eq!(demand.pair(&mut schedule, 100, |_| true).len(), 1);
        assert_eq!(demand.leave(worker(1)), 4);
    }

    #[test]
    fn workers_of_one_type_take_turns() {
        let mut schedule = schedule(&[(1, "t", "a"), (2, "t", "a"), (3, "t", "a"), (4, "t", "a")]);
        let mut demand = Demand::default();
        demand.join(worker(1), vec!["a".into()], None, 10);
        demand.join(worker(2), vec!["a".into(), "b".into()], None, 10);
        let pairs = demand.pair(&mut schedule, 100, |_| true);
        assert_eq!(pairs.iter().filter(|(id, _)| *id == worker(1)).count(), 2);
    }

    #[test]
    fn a_worker_of_one_tenant_gets_nothing_of_another() {
        let mut schedule = schedule(&[(1, "mine", "a"), (2, "theirs", "a"), (3, "theirs", "a")]);
        let mut demand = Demand::default();
        demand.join(worker(1), vec!["a".into()], Some("mine".into()), 10);
        let pairs = demand.pair(&mut schedule, 100, |_| true);
        assert_eq!(pairs, [(worker(1), Uuid::from_u128(1))]);
        demand.join(worker(2), vec!["a".into()], None, 10);
        assert_eq!(demand.pair(&mut schedule, 100, |_| true).len(), 2);
    }

    #[test]
    fn a_worker_that_cannot_take_keeps_its_place() {
        let mut schedule = schedule(&[(1, "t", "a")]);
        let mut demand = Demand::default();
        demand.join(worker(1), vec!["a".into()], None, 1);
        assert!(demand.pair(&mut schedule, 100, |_| false).is_empty());
        assert_eq!(demand.pair(&mut schedule, 100, |_| true).len(), 1);
    }

    #[test]
    fn a_reservation_takes_a_credit_of_the_first_who_may_have_it() {
        let mut demand = Demand::default();
        demand.join(worker(1), vec!["a".into()], Some("theirs".into()), 1);
        demand.join(worker(2), vec!["a".into()], None, 1);
        assert_eq!(demand.reserve("b", "mine", |_| true), None);
        assert_eq!(demand.reserve("a", "mine", |_| false), None);
        assert_eq!(demand.reserve("a", "mine", |_| true), Some(worker(2)));
        assert_eq!(demand.reserve("a", "mine", |_| true), None, "no credit is left");
        assert_eq!(demand.reserve("a", "theirs", |_| true), Some(worker(1)));
    }

    #[test]
    fn room_that_comes_back_is_listed_once() {
        let mut schedule = Schedule::default();
        let mut demand = Demand::default();
        demand.join(worker(1), vec!["a".into(), "b".into()], None, 1);
        schedule.accept(entry(1, "t", "a"), Moment(0));
        assert_eq!(demand.pair(&mut schedule, 100, |_| true).len(), 1);
        for _ in 0..3 {
            demand.add(worker(1), 1);
        }
        assert_eq!(demand.lines.values().map(VecDeque::len).max(), Some(1));
    }
}
