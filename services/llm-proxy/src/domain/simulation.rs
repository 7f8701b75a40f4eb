//! A seeded simulation: callers of several tenants and models, a provider that keeps its own strict log, and all that goes
//! wrong between them: 429s, revoked keys, lost answers, callers that leave, slow networks, pauses, restarts, keys that come
//! and go. The same seed gives the same history, and each promise is checked where it could break.

mod arrivals;
mod callers;
mod fault;
mod plan;
mod provider;
mod tests;
mod travel;
mod trouble;
mod verdict;
mod world;

use std::time::Duration;

pub(super) use self::fault::credit_for_idling;
use self::{
    fault::Fault,
    plan::Plan,
    verdict::{Broken, Figures},
    world::World,
};

const AGEING: Duration = Duration::from_secs(2);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What came of a seed: what happened in it, or the first promise that was broken.
fn run(seed: u64, fault: Option<Fault>) -> Result<Figures, Broken> {
    let _planted = fault.map(fault::plant);
    World::new(Plan::of(seed), seed, fault).run()
}
