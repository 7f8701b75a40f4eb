//! Lines of workers with room, in the order in which they came.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::WorkerId;

/// An agent type, and the tenant to which the workers in the line are confined.
pub(super) type Line = (Arc<str>, Option<Arc<str>>);

type Waiters = BTreeMap<u64, WorkerId>;

/// All lines. None is kept empty.
#[derive(Debug, Default)]
pub(super) struct Lines {
    agents: HashMap<Arc<str>, AgentLines>,
    last_ticket: u64,
}

#[derive(Debug, Default)]
struct AgentLines {
    open: Waiters,
    confined: HashMap<Arc<str>, Waiters>,
}

impl Lines {
    /// A worker goes to the end of a line; its ticket there.
    pub(super) fn push(&mut self, (agent, tenant): &Line, id: WorkerId) -> u64 {
        self.last_ticket += 1;
        let lines = self.agents.entry(Arc::clone(agent)).or_default();
        let line = match tenant {
            Some(tenant) => lines.confined.entry(Arc::clone(tenant)).or_default(),
            None => &mut lines.open,
        };
        line.insert(self.last_ticket, id);
        self.last_ticket
    }

    pub(super) fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    pub(super) fn first(&self, (agent, tenant): &Line) -> Option<WorkerId> {
        let lines = self.agents.get(agent)?;
        let line = match tenant {
            Some(tenant) => lines.confined.get(tenant)?,
            None => &lines.open,
        };
        line.first_key_value().map(|(_, id)| *id)
    }

    pub(super) fn remove(&mut self, (agent, tenant): &Line, ticket: u64) {
        let Some(lines) = self.agents.get_mut(agent) else { return };
        match tenant {
            Some(tenant) => {
                if let Some(line) = lines.confined.get_mut(tenant) {
                    line.remove(&ticket);
                    if line.is_empty() {
                        lines.confined.remove(tenant);
                    }
                }
            }
            None => drop(lines.open.remove(&ticket)),
        }
        if lines.open.is_empty() && lines.confined.is_empty() {
            self.agents.remove(agent);
        }
    }

    /// The lines in which somebody waits who may have a tenant's work: those of its own workers, then the open one.
    pub(super) fn for_work(&self, agent: &str, tenant: &str) -> Vec<Line> {
        let Some((agent, lines)) = self.agents.get_key_value(agent) else { return Vec::new() };
        let own = lines.confined.get_key_value(tenant).map(|(tenant, _)| (Arc::clone(agent), Some(Arc::clone(tenant))));
        own.into_iter().chain([(Arc::clone(agent), None)]).collect()
    }

    #[cfg(test)]
    pub(super) fn longest(&self) -> usize {
        let of = |lines: &AgentLines| lines.confined.values().chain([&lines.open]).map(BTreeMap::len).max();
        self.agents.values().filter_map(of).max().unwrap_or(0)
    }
}
