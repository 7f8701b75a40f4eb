//! A seeded simulation of the core: submissions, leases, heartbeats, crashes, lost replies, a wall clock that jumps, and a
//! checker of the history. The same seed gives the same history.

mod history;
mod world;

use history::History;
use world::World;

/// Seeds in every run of the tests; a proof takes more.
const SEEDS: u64 = 300;
/// Steps of one seed.
const STEPS: usize = 400;

fn run(seed: u64) -> History {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle_everything();
    world.history
}

#[test]
fn no_seed_breaks_a_promise() {
    let (mut leases, mut lost, mut restarts) = (0, 0, 0);
    for seed in 0..SEEDS {
        let history = run(seed);
        if let Err(broken) = history.check() {
            panic!("seed {seed}: {broken}");
        }
        leases += history.leases();
        lost += history.lost();
        restarts += history.restarts();
    }
    // A simulation in which nothing happens proves nothing.
    assert!(leases > 20 * SEEDS as usize && lost > SEEDS as usize && restarts > SEEDS as usize);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
