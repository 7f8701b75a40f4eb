//! A seeded simulation: several processes over one place and one store, both models. Processes crash and pause at any call,
//! the place restarts, fails over to an older self, is replaced or away, for all or for one; the store is away, and its
//! commits are in doubt. Time is virtual; the same seed gives the same history, and a checker looks at every answer.

mod alone;
mod callers;
mod cases;
mod checker;
mod history;
mod kept;
mod nemesis;
mod order;
mod pages;
mod process;
mod random;
mod shelf;
mod store;
mod tests;
mod wire;
mod world;

use std::time::Duration;

use super::{Fault, Settings};
use crate::store::Bound;
use history::History;
use world::World;

/// Processes of one seed.
const PROCESSES: usize = 3;
/// Callers.
const CALLERS: usize = 6;
/// How long the trouble lasts.
const TROUBLE: Duration = Duration::from_secs(14);
/// How long all may take to be well again.
const HEALING: Duration = Duration::from_secs(10);
/// CACHED writes of a shard that may not be stored.
const WINDOW: Bound = Bound { writes: 5, bytes: 1 << 20 };

fn settings() -> Settings {
    Settings {
        lease: Duration::from_secs(2),
        margin: Duration::from_millis(100),
        renew: Duration::from_millis(200),
        gone_after: Duration::from_millis(700),
        flush_within: Duration::from_millis(100),
        window: WINDOW,
        window_age: Duration::from_secs(1),
        unstored_bytes: 1 << 20,
        idle: Duration::from_secs(1),
        lanes: 2,
        writes_max: 1_000,
        writes_bytes_max: 1 << 20,
    }
}

/// One seed's history.
fn run(seed: u64, fault: Option<Fault>) -> History {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    // Made inside, where time is virtual already.
    runtime.expect("a runtime").block_on(async { World::new(seed, fault).run().await })
}
