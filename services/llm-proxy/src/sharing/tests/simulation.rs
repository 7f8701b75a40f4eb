//! Seeds through several processes' calls, and whatever befalls them: no window of the provider's ever holds more than its
//! limit. Each test has few seeds; `tests/prove sharing_simulation` has many.

use super::{
    model::Model,
    random::Random,
    world::{Faults, MS, Plan, SECOND, World},
};

/// Of each test.
const SEEDS: u64 = 6;

fn plan(faults: Faults) -> Plan {
    Plan {
        processes: 3,
        window: 3 * SECOND,
        limits: [300, 60_000, 60],
        reserve_percent: 5,
        gap: 20 * MS,
        tokens_max: 300,
        call_max: 300 * MS,
        faults,
        until: 30 * SECOND,
    }
}

fn none_is_exceeded(faults: Faults, seeds: std::ops::Range<u64>) {
    let (mut calls, count) = (0, seeds.end - seeds.start);
    for seed in seeds {
        let plan = plan(faults);
        let limits = plan.limits;
        let mut world = World::new(plan, seed, Model::default());
        world.run();
        assert!(world.most[0] <= limits[0], "seed {seed}: {} requests in a window", world.most[0]);
        assert!(world.most[1] <= limits[1], "seed {seed}: {} tokens in a window", world.most[1]);
        calls += world.calls;
    }
    assert!(calls > 20 * count, "only {calls} calls were made");
}

#[test]
fn no_window_holds_more_than_its_limit_while_processes_die() {
    none_is_exceeded(Faults { crashes: true, ..Faults::default() }, 0..SEEDS);
}

#[test]
fn no_window_holds_more_while_messages_are_lost_and_late() {
    none_is_exceeded(Faults { losses: true, crashes: true, ..Faults::default() }, 100..100 + SEEDS);
}

#[test]
fn no_window_holds_more_while_processes_stand_still() {
    none_is_exceeded(Faults { pauses: true, ..Faults::default() }, 200..200 + SEEDS);
}

#[test]
fn no_window_holds_more_while_redis_is_away_or_another() {
    none_is_exceeded(Faults { outages: true, replacements: true, ..Faults::default() }, 300..300 + SEEDS);
}

#[test]
fn no_window_holds_more_whatever_happens() {
    let all = Faults { crashes: true, pauses: true, losses: true, outages: true, absences: false, replacements: true };
    none_is_exceeded(all, 400..400 + 2 * SEEDS);
}

#[test]
fn no_more_are_at_the_provider_than_there_are_places() {
    for seed in 0..SEEDS {
        let mut plan = plan(Faults { crashes: true, ..Faults::default() });
        (plan.limits, plan.reserve_percent) = ([30_000, 60_000_000, 20], 5);
        let mut world = World::new(plan, seed, Model::default());
        world.run();
        assert!(world.most[2] <= 20, "seed {seed}: {} at once", world.most[2]);
        assert!(world.calls > 30, "seed {seed}: only {} calls were made", world.calls);
    }
}

#[test]
fn no_more_are_there_at_once_after_redis_was_out_of_reach_for_all() {
    for seed in 0..SEEDS {
        let mut plan = plan(Faults { absences: true, ..Faults::default() });
        (plan.limits, plan.call_max) = ([30_000, 60_000_000, 20], 6 * SECOND);
        let mut world = World::new(plan, seed, Model::default());
        world.run();
        assert!(world.most[2] <= 20, "seed {seed}: {} at once", world.most[2]);
        assert!(world.calls > 30, "seed {seed}: only {} calls were made", world.calls);
    }
}

#[test]
fn the_share_of_the_reserve_does_not_wait_for_the_end_of_the_lease() {
    // Everybody has a line, and five requests without Redis.
    let mut plan = plan(Faults::default());
    (plan.limits, plan.gap) = ([300, 60_000_000, 6_000], MS);
    for seed in 0..SEEDS {
        let mut world = World::new(plan.clone(), seed, Model::default());
        world.run_until(10 * SECOND);
        world.loses_redis();
        // What was granted or asked for already.
        world.run_until(10 * SECOND + 20 * MS);
        let before = world.total[0];
        world.run_until(10 * SECOND + 420 * MS);
        let passed = world.total[0] - before;
        assert!(passed >= 15, "seed {seed}: {passed} requests before the leases had run out");
        world.run_until(20 * SECOND);
        assert!(world.most[0] <= 300, "seed {seed}: {} requests in a window", world.most[0]);
    }
}

#[test]
fn what_may_be_used_is_used_and_everybody_has_a_part() {
    for limits in [[300, 60_000_000, 6_000], [30_000, 60_000, 6_000]] {
        let mut plan = plan(Faults::default());
        (plan.limits, plan.reserve_percent, plan.gap, plan.call_max) = (limits, 2, MS, 20 * MS);
        let (window, until) = (plan.window, plan.until);
        let mut world = World::new(plan, 7, Model::default());
        world.run();
        // All but the first window, which counts as spent.
        let windows = (until - window) as f64 / window as f64;
        let used = [0, 1].map(|of| world.total[of] as f64 / (limits[of] as f64 * windows));
        println!("used {used:?} rounds {} calls {} by {:?}", world.rounds, world.calls, world.by_process);
        assert!(used.iter().any(|used| *used >= 0.95), "{used:?}");
        let (least, most) = (world.by_process.iter().min(), world.by_process.iter().max());
        assert!(least.zip(most).is_some_and(|(least, most)| least * 10 >= most * 9), "{:?}", world.by_process);
    }
}

#[test]
#[ignore = "many seeds: tests/prove sharing_simulation"]
fn no_seed_of_very_many_exceeds_a_limit() {
    let seeds = std::env::var("HOLDFAST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    for seed in 0..seeds {
        let mut dice = Random(seed);
        let mut once = || dice.once_in(2);
        let faults = Faults {
            crashes: once(),
            pauses: once(),
            losses: once(),
            outages: once(),
            absences: once(),
            replacements: once(),
        };
        none_is_exceeded(faults, seed..seed + 1);
    }
}
