//! What stands behind the name of a model.

mod house;
mod order;
mod rest;

use std::{sync::Arc, time::Duration};

use holdfast_resilience::Breaker;
use holdfast_telemetry::redaction::Redaction;
use rand::RngExt as _;
use tokio::sync::Notify;

pub(crate) use self::{
    house::{House, NamedKey, limits, named},
    rest::Rest,
};
use crate::{
    domain::{Estimator, Lane},
    metrics::{Calls, Estimates, Waits},
};

/// A model that can be asked for.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// In the order of preference.
    pub(crate) deployments: Vec<Arc<Deployment>>,
    /// Most tokens to write, where the caller does not say.
    pub(crate) max_output_tokens: Option<u32>,
    /// A call that would wait longer goes on to the next deployment.
    pub(crate) fallback_after: Option<Duration>,
    /// What is answered when no deployment can be had.
    pub(crate) fallback: Option<String>,
    /// What of prompts and answers may stand in traces, where any of it may.
    pub(crate) traced: Option<Redaction>,
    pub(crate) waits: Waits,
}

/// One place where a model runs.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// `provider/upstream-model`
    pub(crate) name: String,
    /// The model as the provider calls it.
    pub(crate) upstream: String,
    pub(crate) lane: Lane,
    /// Its share of the calls, among those that have one.
    pub(crate) weight: Option<u32>,
    /// The tokens that its context holds.
    pub(crate) context_tokens: Option<u64>,
    /// Knows what calls of this upstream model cost.
    pub(crate) estimator: Arc<Estimator>,
    pub(crate) house: Arc<House>,
    pub(crate) breaker: Breaker,
    /// Rings when it falls ill: those in line have waited for nothing.
    pub(crate) shut: Arc<Notify>,
    /// Until when it asked to be left alone.
    pub(crate) rest: Rest,
    /// The longest that it is left alone for its asking.
    pub(crate) rest_max: Duration,
    pub(crate) calls: Calls,
    pub(crate) estimates: Estimates,
}

impl Model {
    /// The order in which a call tries the deployments, by their places in the list.
    pub(crate) fn order(&self) -> Vec<usize> {
        let weights: Vec<_> = self.deployments.iter().map(|deployment| deployment.weight).collect();
        order::order(&weights, |most| rand::rng().random_range(0..most))
    }

    /// The providers behind it, each once.
    pub(crate) fn houses(&self) -> Vec<Arc<House>> {
        let mut houses: Vec<_> = self.deployments.iter().map(|deployment| Arc::clone(&deployment.house)).collect();
        houses.sort_by(|a, b| a.name.cmp(&b.name));
        houses.dedup_by(|a, b| a.name == b.name);
        houses
    }

    pub(crate) fn simulated(&self) -> bool {
        self.deployments.iter().any(|deployment| deployment.house.simulated)
    }

    /// Whether no call to it leaves the mesh.
    pub(crate) fn only_simulated(&self) -> bool {
        self.deployments.iter().all(|deployment| deployment.house.simulated)
    }
}

impl Deployment {
    /// How long nothing is sent to it, where that is so now.
    pub(crate) fn shut_for(&self) -> Option<Duration> {
        let open = Some(self.breaker.snapshot().retry_after).filter(|time| !time.is_zero());
        open.max(self.rest.left())
    }
}
