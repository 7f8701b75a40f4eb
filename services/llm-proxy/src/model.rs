//! What stands behind the name of a model.

use std::sync::Arc;

use holdfast_config::Secret;
use holdfast_resilience::Breaker;

use crate::{domain::Lane, gate::Gate, provider::Provider};

/// A model that can be asked for.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    /// In the order of preference.
    pub(crate) deployments: Vec<Deployment>,
    /// Most tokens to write, where the caller does not say.
    pub(crate) max_output_tokens: Option<u32>,
    /// What is answered when no deployment can be had.
    pub(crate) fallback: Option<String>,
}

/// One place where a model runs.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// `provider/upstream-model`
    pub(crate) name: String,
    /// The model as the provider calls it.
    pub(crate) upstream: String,
    pub(crate) lane: Lane,
    pub(crate) house: Arc<House>,
    pub(crate) breaker: Breaker,
}

/// A provider with its keys and the gate in front of them.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) name: String,
    pub(crate) simulated: bool,
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) gate: Gate,
    pub(crate) keys: Vec<NamedKey>,
    /// How long a key rests after a 429 that does not say.
    pub(crate) cooldown: std::time::Duration,
    /// How long a key is left alone that the provider did not take.
    pub(crate) quarantine: std::time::Duration,
}

/// An API key.
#[derive(Debug)]
pub(crate) struct NamedKey {
    pub(crate) name: String,
    pub(crate) key: Option<Secret>,
}

impl House {
    /// The key of this name; none where it was removed meanwhile.
    pub(crate) fn key(&self, name: &str) -> Option<&Secret> {
        self.keys.iter().find(|key| key.name == name)?.key.as_ref()
    }
}

impl Model {
    pub(crate) fn simulated(&self) -> bool {
        self.deployments.iter().any(|deployment| deployment.house.simulated)
    }
}
