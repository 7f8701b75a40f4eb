//! What a seed is about.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::ms;
use crate::config::ModelLimits;

/// The kinds of seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// Everything goes wrong.
    Storm,
    /// Many come at once, and then nobody: what is predicted is what comes.
    Burst,
    /// All tenants always want more than there is.
    Backlog,
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) scene: Scene,
    pub(super) window: Duration,
    /// Limits of each key, over all models.
    pub(super) keys: Vec<ModelLimits>,
    /// Limits of each key for the first model.
    pub(super) model: ModelLimits,
    pub(super) lanes: u16,
    /// Tenants by their weights.
    pub(super) tenants: Vec<u32>,
    /// How long a request may travel, and how long the provider takes for one.
    pub(super) transit: Duration,
    pub(super) work: (Duration, Duration),
    pub(super) calls: usize,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
        match seed % 8 {
            0..5 => Self::storm(&mut rng),
            5..7 => Self::burst(&mut rng),
            _ => Self::backlog(&mut rng),
        }
    }

    fn storm(rng: &mut SmallRng) -> Self {
        let keys = (0..rng.random_range(1..4)).map(|_| limits(rng)).collect();
        let model = if rng.random_bool(0.5) { limits(rng) } else { ModelLimits::default() };
        Self {
            scene: Scene::Storm,
            window: ms(rng.random_range(1_000..4_000)),
            keys,
            model,
            lanes: rng.random_range(1..4),
            tenants: (0..rng.random_range(1..5)).map(|_| rng.random_range(1..4)).collect(),
            transit: ms(if rng.random_bool(0.5) { 500 } else { 20 }),
            work: (ms(20), ms(1_500)),
            calls: 70,
        }
    }

    /// One window limit, so that what is predicted is known to the call.
    fn burst(rng: &mut SmallRng) -> Self {
        let limit = if rng.random_bool(0.5) {
            ModelLimits { requests_per_minute: Some(rng.random_range(4..12)), ..ModelLimits::default() }
        } else {
            ModelLimits { input_tokens_per_minute: Some(rng.random_range(1_000..3_000)), ..ModelLimits::default() }
        };
        let of_model = rng.random_bool(0.3);
        let (own, model) = if of_model { (ModelLimits::default(), limit) } else { (limit, ModelLimits::default()) };
        Self {
            scene: Scene::Burst,
            window: ms(10_000),
            keys: vec![own; rng.random_range(1..3)],
            model,
            lanes: if of_model { 1 } else { rng.random_range(1..3) },
            tenants: vec![1; rng.random_range(1..4)],
            transit: ms(2),
            work: (ms(10), ms(100)),
            calls: rng.random_range(30..80),
        }
    }

    fn backlog(rng: &mut SmallRng) -> Self {
        let kind = rng.random_range(0..3);
        let limit = match kind {
            0 => ModelLimits { requests_per_minute: Some(rng.random_range(20..40)), ..ModelLimits::default() },
            1 => ModelLimits { tokens_per_minute: Some(rng.random_range(4_000..8_000)), ..ModelLimits::default() },
            _ => ModelLimits { concurrency: Some(rng.random_range(2..5)), ..ModelLimits::default() },
        };
        Self {
            scene: Scene::Backlog,
            window: ms(2_000),
            keys: vec![limit; rng.random_range(1..3)],
            model: ModelLimits::default(),
            lanes: rng.random_range(1..3),
            tenants: (0..rng.random_range(2..5)).map(|_| rng.random_range(1..4)).collect(),
            transit: ms(2),
            work: if kind < 2 { (ms(10), ms(60)) } else { (ms(50), ms(150)) },
            calls: 0,
        }
    }
}

/// Some limits, none of them too small for a call.
fn limits(rng: &mut SmallRng) -> ModelLimits {
    let mut some = |least: u32, most: u32| rng.random_bool(0.4).then(|| rng.random_range(least..most));
    ModelLimits {
        requests_per_minute: some(3, 12),
        concurrency: some(1, 6),
        tokens_per_minute: some(400, 1_500).map(u64::from),
        input_tokens_per_minute: some(300, 1_000).map(u64::from),
        output_tokens_per_minute: some(300, 1_000).map(u64::from),
        ..ModelLimits::default()
    }
}
