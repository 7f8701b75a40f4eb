//! What is known of the mesh, and of what it is not known any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use holdfast_proto::llm::v1::ProviderCapacity;
use holdfast_proto::queue::v1::list_depths_response::Depth;
use holdfast_proto::queue::v1::{Invocation, InvocationEvent};
use holdfast_proto::state::v1::Record;
use holdfast_proto::tool::v1::Circuit;

use super::history::History;
use super::metrics::Page;
use super::places::Service;

/// How much of an agent type's past is drawn.
pub(crate) const TREND_MAX: usize = 40;
/// Agent types that are remembered while they have no work.
const AGENTS_MAX: usize = 1_000;

/// Why something could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: TroubleKind,
    pub(crate) why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TroubleKind {
    /// Nobody answers.
    Unreached,
    /// The key may not ask.
    Denied,
    /// It answers, and says no.
    Refused,
}

/// One thing that is asked for again and again: its last answer, and why there is no newer one.
#[derive(Debug, Clone)]
pub(crate) struct Source<T> {
    last: Option<(Instant, T)>,
    trouble: Option<(Instant, Trouble)>,
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self { last: None, trouble: None }
    }
}

impl<T> Source<T> {
    /// An answer, or why there is none. What was known stays.
    pub(crate) fn tell(&mut self, answer: Result<T, Trouble>, now: Instant) {
        match answer {
            Ok(value) => *self = Self { last: Some((now, value)), trouble: None },
            Err(trouble) => {
                let since = self.trouble.as_ref().map_or(now, |(since, _)| *since);
                self.trouble = Some((since, trouble));
            }
        }
    }

    /// What was last known.
    pub(crate) fn get(&self) -> Option<&T> {
        self.last.as_ref().map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.last.as_mut().map(|(_, value)| value)
    }

    /// Whether it has said anything at all.
    pub(crate) fn is_told(&self) -> bool {
        self.last.is_some() || self.trouble.is_some()
    }

    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref().map(|(_, trouble)| trouble)
    }

    /// How long the trouble lasts.
    pub(crate) fn for_how_long(&self, now: Instant) -> Duration {
        self.trouble.as_ref().map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }
}

/// What a service says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Serving,
    /// It answers, and takes no more work.
    NotServing,
}

/// One process, asked at its own address.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) service: Service,
    pub(crate) health: Source<Health>,
    pub(crate) metrics: Source<()>,
    pub(crate) history: History,
}

/// One invocation, looked into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looked {
    pub(crate) invocation: Invocation,
    pub(crate) events: Vec<InvocationEvent>,
    /// Its recorded steps, by key.
    pub(crate) steps: Vec<Record>,
}

/// All that is known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) processes: Vec<Process>,
    pub(crate) depths: Source<Vec<Depth>>,
    pub(crate) circuits: Source<BTreeMap<String, Circuit>>,
    pub(crate) capacity: Source<Vec<ProviderCapacity>>,
    pub(crate) invocations: Source<Vec<Invocation>>,
    pub(crate) looked: Source<Looked>,
    /// What waited of each agent type, the newest last.
    pub(crate) trends: BTreeMap<String, VecDeque<u64>>,
}

impl Known {
    pub(crate) fn new(services: Vec<Service>) -> Self {
        let process = |service| Process {
            service,
            health: Source::default(),
            metrics: Source::default(),
            history: History::default(),
        };
        Self {
            processes: services.into_iter().map(process).collect(),
            depths: Source::default(),
            circuits: Source::default(),
            capacity: Source::default(),
            invocations: Source::default(),
            looked: Source::default(),
            trends: BTreeMap::new(),
        }
    }

    pub(crate) fn depths(&mut self, answer: Result<Vec<Depth>, Trouble>, now: Instant) {
        for depth in answer.iter().flatten() {
            if self.trends.len() < AGENTS_MAX {
                self.trends.entry(depth.agent.clone()).or_default();
            }
        }
        if let Ok(depths) = &answer {
            // One that is not named has no work by now.
            for (agent, trend) in &mut self.trends {
                let waiting = depths.iter().find(|depth| depth.agent == *agent).map_or(0, |depth| depth.queued);
                trend.push_back(waiting);
                while trend.len() > TREND_MAX {
                    trend.pop_front();
                }
            }
        }
        self.depths.tell(answer, now);
    }

    pub(crate) fn metrics(&mut self, process: usize, answer: Result<Page, Trouble>, now: Instant) {
        let Some(process) = self.processes.get_mut(process) else { return };
        let answer = answer.map(|page| process.history.push(now, page));
        process.metrics.tell(answer, now);
    }

    /// The processes of a service.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.service.name == name)
    }

    /// Whether everything has said what it can, rates included.
    pub(crate) fn is_complete(&self) -> bool {
        let told = |process: &Process| {
            process.health.is_told() && (process.metrics.trouble().is_some() || process.history.has_past())
        };
        self.depths.is_told()
            && self.circuits.is_told()
            && self.capacity.is_told()
            && self.invocations.is_told()
            && self.processes.iter().all(told)
    }
}
