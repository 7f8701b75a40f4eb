//! A seeded simulation: submissions, leases, heartbeats, crashes, pauses, clocks that jump, duplicate and lost replies;
//! one process that owns its store, or several that share one. The same seed gives the same history, and a checker looks
//! at every event of it.

mod callers;
mod checker;
mod duties;
mod fault;
mod history;
mod process;
mod serving;
mod shares;
mod store;
mod tests;
mod workers;
mod world;

use std::collections::HashMap;
use std::time::Duration;

use super::depth::{Limit, Limits};
use super::weights::Weights;
use fault::Fault;
use history::History;
use world::World;

/// Steps of one seed.
const STEPS: usize = 120;
const LEASE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(1);
const LOST_MAX: u32 = 4;
const ATTEMPTS_MAX: u32 = 3;
/// Tenants and their weights.
const TENANTS: [(&str, u32); 3] = [("t0", 1), ("t1", 2), ("t2", 3)];
/// What may wait in all, and of one tenant.
const ROOM: (u64, u64) = (60, 35);

fn weights() -> Weights {
    TENANTS.into_iter().collect()
}

fn limits() -> Limits {
    let limit = |items| Limit { items, bytes: u64::MAX };
    let (total, tenant) = (limit(ROOM.0), limit(ROOM.1));
    let hint_max = Duration::from_secs(60);
    Limits { total, agent: total, tenant, tenants: HashMap::new(), soft: 0.8, hint_max }
}

fn run(seed: u64, fault: Option<Fault>) -> History {
    let mut world = World::new(seed, fault);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle_everything();
    world.store.history
}
