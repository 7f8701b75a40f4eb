//! The agent types that are shown by name: how much of theirs ends, and how long it waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::Histogram;

use crate::domain::depth::Rate;
use crate::domain::invocation::Usage;
use crate::domain::time::Moment;
use crate::metrics::{self, Tokens};

/// Agent types that get labels of their own; the names come from callers, and every label costs memory for good.
const AGENTS_MAX: usize = 500;
/// The label of the agent types that came when there were labels enough.
pub(crate) const OTHERS: &str = "(others)";

/// Agent types that have had work since the start. Once seen, one is shown for good: a depth that is gone from the page
/// cannot be told from one that nobody measures.
#[derive(Debug)]
pub(crate) struct Seen {
    since: Moment,
    agents: HashMap<Arc<str>, Course>,
    others: Option<Course>,
}

/// How the work of an agent type goes.
#[derive(Debug)]
struct Course {
    ended: Rate,
    waited: Histogram,
    tokens: Tokens,
}

impl Course {
    fn new(agent: &str, since: Moment) -> Self {
        metrics::appeared(agent);
        Self { ended: Rate::new(since), waited: metrics::waits(agent), tokens: Tokens::of(agent) }
    }
}

impl Seen {
    pub(crate) fn new(now: Moment) -> Self {
        Self { since: now, agents: HashMap::new(), others: None }
    }

    /// Work of an agent type has come. The first is shown at once, however soon it is done.
    pub(crate) fn add(&mut self, agent: &Arc<str>) {
        self.course(agent);
    }

    /// One has ended, with so many tokens over all attempts.
    pub(crate) fn ended(&mut self, agent: &Arc<str>, usage: Usage, now: Moment) {
        let course = self.course(agent);
        course.ended.add(1, now);
        course.tokens.used(usage);
    }

    /// One has waited so long for a worker.
    pub(crate) fn waited(&mut self, agent: &Arc<str>, waited: Duration) {
        self.course(agent).waited.record(waited);
    }

    fn course(&mut self, agent: &Arc<str>) -> &mut Course {
        if !self.agents.contains_key(agent) && self.agents.len() < AGENTS_MAX {
            self.agents.insert(Arc::clone(agent), Course::new(agent, self.since));
        }
        match self.agents.get_mut(agent) {
            Some(course) => course,
            None => self.others.get_or_insert_with(|| Course::new(OTHERS, self.since)),
        }
    }

    /// How many end here in a second, of each agent type that has been seen, and of all others where there are such.
    pub(crate) fn drain_rates(&self, now: Moment) -> HashMap<Arc<str>, f64> {
        let others = self.others.iter().map(|course| (Arc::from(OTHERS), course));
        let all = self.agents.iter().map(|(agent, course)| (Arc::clone(agent), course)).chain(others);
        all.map(|(agent, course)| (agent, course.ended.per_second(now))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_those_that_are_told_apart_share_one() {
        let mut seen = Seen::new(Moment(0));
        let now = Moment(0).after(Duration::from_secs(1));
        for number in 0..AGENTS_MAX + 100 {
            seen.ended(&number.to_string().into(), Usage::default(), now);
        }
        let rates = seen.drain_rates(now);
        assert_eq!(rates.len(), AGENTS_MAX + 1);
        assert!((rates[OTHERS] / rates["0"] - 100.0).abs() < 0.01, "{} and {}", rates[OTHERS], rates["0"]);
    }
}
