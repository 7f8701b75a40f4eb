//! How much waits and runs, of whom; whether there is room for more; and when a refused caller shall come back.
//!
//! Counted are lines, an agent type's work of one tenant, and at every event the sums for each agent type, each tenant and
//! all: nothing is ever added up. What holds nothing is not kept. The counts are fed by events and not by what is in
//! memory, so that they hold where a store is shared as well: there each process knows its own events, and
//! [replaces](Depths::reset) the counts by the store's now and then.

mod admit;
mod limit;
mod rate;
mod tally;

use std::collections::HashMap;
use std::sync::Arc;

use super::time::Moment;
use super::weights::Weights;
use tally::{Line, Scope, Tally};

pub use admit::{Full, Mark, Measure, Within};
pub use limit::{Limit, Limits, part};
pub use rate::Rate;

/// What a store has counted of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The agent type.
    pub agent: Arc<str>,
    /// Whose.
    pub tenant: Arc<str>,
    /// Waiting, for whatever.
    pub queued: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Running.
    pub leased: u64,
    /// When the oldest waiting one was accepted.
    pub oldest: Option<Moment>,
}

/// How much there is of one agent type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCount {
    /// The agent type.
    pub agent: Arc<str>,
    /// Waiting, for whatever.
    pub queued: u64,
    /// Running.
    pub leased: u64,
    /// When the oldest waiting one was accepted, as a store last told.
    pub oldest: Option<Moment>,
}

/// A line's agent type and tenant.
type Name = (Arc<str>, Arc<str>);

/// An agent type's lines, and their sum.
#[derive(Debug)]
struct Agent {
    sum: Scope,
    lines: HashMap<Arc<str>, Line>,
}

/// All counts.
#[derive(Debug)]
pub struct Depths {
    limits: Limits,
    weights: Weights,
    agents: HashMap<Arc<str>, Agent>,
    tenants: HashMap<Arc<str>, Scope>,
    total: Scope,
    /// What ends in a second, whether anything waits or not.
    ended: Rate,
    /// What other processes on the store end in a second.
    elsewhere: f64,
    /// Own changes since the store was asked for its counts.
    since: Option<HashMap<Name, Tally>>,
}

impl Depths {
    /// Nothing waits.
    #[must_use]
    pub fn new(limits: Limits, weights: Weights, now: Moment) -> Self {
        Self {
            limits,
            weights,
            agents: HashMap::new(),
            tenants: HashMap::new(),
            total: Scope::new(now),
            ended: Rate::new(now),
            elsewhere: 0.0,
            since: None,
        }
    }

    /// What was [admitted](Self::admit) did not become durable.
    pub fn withdrawn(&mut self, agent: &Arc<str>, tenant: &Arc<str>, bytes: usize, now: Moment) {
        self.apply(agent, tenant, -Tally::waiting(bytes), now);
    }

    /// One waits that was not admitted here: found at a start, or brought back after its end.
    pub fn waits(&mut self, agent: &Arc<str>, tenant: &Arc<str>, bytes: usize, now: Moment) {
        self.apply(agent, tenant, Tally::waiting(bytes), now);
    }

    /// One runs that was found at a start.
    pub fn runs(&mut self, agent: &Arc<str>, tenant: &Arc<str>, now: Moment) {
        self.apply(agent, tenant, Tally::RUNNING, now);
    }

    /// One that waited is leased.
    pub fn claimed(&mut self, agent: &Arc<str>, tenant: &Arc<str>, bytes: usize, now: Moment) {
        self.apply(agent, tenant, Tally::RUNNING - Tally::waiting(bytes), now);
    }

    /// One that was leased waits again.
    pub fn requeued(&mut self, agent: &Arc<str>, tenant: &Arc<str>, bytes: usize, now: Moment) {
        self.apply(agent, tenant, Tally::waiting(bytes) - Tally::RUNNING, now);
    }

    /// One has ended, which was leased or waited.
    pub fn ended(&mut self, agent: &Arc<str>, tenant: &Arc<str>, bytes: usize, leased: bool, now: Moment) {
        let gone = if leased { Tally::RUNNING } else { Tally::waiting(bytes) };
        // First the rates: an end counts by what waited until then.
        self.total.left(now);
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.sum.left(now);
        }
        if let Some(tenant) = self.tenants.get_mut(tenant) {
            tenant.left(now);
        }
        self.ended.add(1, now);
        self.apply(agent, tenant, -gone, now);
    }

    /// The store is about to be asked for its counts: from here on own changes are kept beside them.
    pub fn mark(&mut self) {
        self.since = Some(HashMap::new());
    }

    /// The store's counts take the place of these, with the own changes since the [mark](Self::mark). What happened
    /// between the mark and the store's reading counts twice until the next time.
    pub fn reset(&mut self, counts: Vec<Count>, now: Moment) {
        let mut lines: HashMap<Name, (Tally, Option<Moment>)> = HashMap::new();
        for (line, change) in self.since.take().unwrap_or_default() {
            lines.insert(line, (change, None));
        }
        for count in counts {
            let (tally, oldest) = lines.entry((count.agent, count.tenant)).or_default();
            *tally = *tally + Tally::counted(count.queued, count.bytes, count.leased);
            *oldest = count.oldest;
        }
        for (agent, tenant) in self.lines() {
            if !lines.contains_key(&(Arc::clone(&agent), Arc::clone(&tenant))) {
                let held = self.line(&agent, &tenant).tally;
                self.apply(&agent, &tenant, -held, now);
            }
        }
        for ((agent, tenant), (tally, oldest)) in lines {
            let held = self.line(&agent, &tenant).tally;
            self.apply(&agent, &tenant, tally - held, now);
            if let Some(line) = self.agents.get_mut(&agent).and_then(|agent| agent.lines.get_mut(&tenant)) {
                line.oldest = oldest;
            }
        }
    }

    /// What the other processes on the store end in a second.
    pub fn ends_elsewhere(&mut self, per_second: f64) {
        self.elsewhere = per_second.max(0.0);
    }

    /// How much there is of each agent type, of one tenant or of all, by name.
    #[must_use]
    pub fn by_agent(&self, tenant: Option<&str>) -> Vec<AgentCount> {
        let mut counts: Vec<AgentCount> =
            self.agents.iter().filter_map(|(name, agent)| agent.count(name, tenant)).collect();
        counts.sort_by(|one, other| one.agent.cmp(&other.agent));
        counts
    }

    /// What waits in all: invocations, and bytes of their payloads.
    #[must_use]
    pub fn waiting(&self) -> (u64, u64) {
        (self.total.tally.queued(), self.total.tally.bytes())
    }

    /// How many end here in a second.
    #[must_use]
    pub fn ended_per_second(&self, now: Moment) -> f64 {
        self.ended.per_second(now)
    }

    fn lines(&self) -> Vec<Name> {
        let of = |(name, agent): (&Arc<str>, &Agent)| {
            agent.lines.keys().map(|tenant| (Arc::clone(name), Arc::clone(tenant))).collect::<Vec<_>>()
        };
        self.agents.iter().flat_map(of).collect()
    }

    fn line(&self, agent: &str, tenant: &str) -> Line {
        let line = self.agents.get(agent).and_then(|agent| agent.lines.get(tenant));
        line.copied().unwrap_or_default()
    }

    fn apply(&mut self, agent: &Arc<str>, tenant: &Arc<str>, change: Tally, now: Moment) {
        if let Some(since) = &mut self.since {
            let changed = since.entry((Arc::clone(agent), Arc::clone(tenant))).or_default();
            *changed = *changed + change;
        }
        let weight = self.weights.of(tenant);
        let agents = self.agents.entry(Arc::clone(agent));
        let of_agent = agents.or_insert_with(|| Agent { sum: Scope::new(now), lines: HashMap::new() });
        let line = of_agent.lines.entry(Arc::clone(tenant)).or_default();
        let waited = line.tally.waits();
        line.tally = line.tally + change;
        of_agent.sum.change(change, waited, line.tally.waits(), weight, now);
        if line.tally.is_nothing() {
            of_agent.lines.remove(tenant);
            if of_agent.lines.is_empty() {
                self.agents.remove(agent);
            }
        }
        let of_tenant = self.tenants.entry(Arc::clone(tenant)).or_insert_with(|| Scope::new(now));
        let waited = of_tenant.tally.waits();
        of_tenant.change(change, waited, (of_tenant.tally + change).waits(), weight, now);
        self.total.change(change, waited, of_tenant.tally.waits(), weight, now);
        if of_tenant.tally.is_nothing() {
            self.tenants.remove(tenant);
        }
    }
}

impl Agent {
    fn count(&self, name: &Arc<str>, tenant: Option<&str>) -> Option<AgentCount> {
        let (tally, oldest) = match tenant {
            Some(tenant) => self.lines.get(tenant).map(|line| (line.tally, line.oldest))?,
            None => (self.sum.tally, self.lines.values().filter_map(|line| line.oldest).min()),
        };
        let count = AgentCount { agent: Arc::clone(name), queued: tally.queued(), leased: tally.leased(), oldest };
        Some(count).filter(|count| count.queued + count.leased > 0)
    }
}

#[cfg(test)]
mod tests;
