//! What a pool can tell of itself.

use std::{sync::Arc, time::Duration};

use super::{Lane, Need, Pool, Want};
use crate::domain::{
    key::{Key, State},
    meter::{Kind, Meter},
};

/// What a provider's keys leave, and who waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// In the order of the configuration.
    pub(crate) keys: Vec<KeyCapacity>,
    /// One for each upstream model.
    pub(crate) lines: Vec<LineCapacity>,
    /// Whether other processes have the same limits, and all of them are kept together.
    pub(crate) shared: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyCapacity {
    pub(crate) name: Arc<str>,
    pub(crate) state: State,
    /// How long it still rests, or is left alone.
    pub(crate) rest: Duration,
    /// Calls at the provider.
    pub(crate) in_flight: u32,
    pub(crate) limits: Vec<LimitCapacity>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitCapacity {
    pub(crate) kind: Kind,
    /// The upstream model that it is for; all of the key's where there is none.
    pub(crate) model: Option<Arc<str>>,
    pub(crate) limit: u64,
    /// What is free of it now.
    pub(crate) available: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineCapacity {
    /// The upstream model.
    pub(crate) model: Arc<str>,
    pub(crate) waiting: u64,
    /// Tokens that those who wait will use, as estimated.
    pub(crate) tokens: u64,
    /// How long a small call would wait that came now.
    pub(crate) wait: Duration,
}

/// What a small call needs.
const SMALL: Need = Need { input: 1, output: 1 };

impl Pool {
    pub(crate) fn capacity(&mut self, now: Duration) -> Capacity {
        self.pass(now);
        let lanes: Vec<_> = (0..self.lanes.len()).map(|index| Lane(index as u16)).collect();
        let lines = lanes.iter().map(|lane| self.line_capacity(now, *lane)).collect();
        let keys = self.usable().into_iter().map(|key| key_capacity(now, key, &self.lanes)).collect();
        Capacity { keys, lines, shared: self.is_shared(now) }
    }

    fn line_capacity(&mut self, now: Duration, lane: Lane) -> LineCapacity {
        let small = Want {
            lane,
            tenant: "".into(),
            weight: 1,
            priority: 0,
            need: SMALL,
            counted: None,
            bytes: 0,
            deadline: None,
            start_by: None,
        };
        let ticket = self.line.ticket(now, &small);
        let wait = self.start_of(now, &ticket, &small).saturating_sub(now);
        let load = self.line.load(lane);
        let model = self.lanes[usize::from(lane.0)].clone();
        LineCapacity { model, waiting: load.calls, tokens: load.tokens(), wait }
    }
}

fn key_capacity(now: Duration, key: &Key, lanes: &[Arc<str>]) -> KeyCapacity {
    let mut limits: Vec<_> = key.own().map(|(kind, meter)| limit_capacity(now, kind, meter, None)).collect();
    for (index, name) in lanes.iter().enumerate() {
        let of_model = key.of_model(Lane(index as u16));
        limits.extend(of_model.map(|(kind, meter)| limit_capacity(now, kind, meter, Some(name))));
    }
    KeyCapacity {
        name: key.name.clone(),
        state: key.state(now),
        rest: key.usable_at().saturating_sub(now),
        in_flight: key.places(),
        limits,
    }
}

fn limit_capacity(now: Duration, kind: Kind, meter: &Meter, model: Option<&Arc<str>>) -> LimitCapacity {
    LimitCapacity { kind, model: model.cloned(), limit: meter.limit(), available: meter.left(now) }
}
