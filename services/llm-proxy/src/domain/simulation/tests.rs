use std::collections::BTreeMap;

use super::*;

/// Seeds in every run of the tests. A proof takes more, by `HOLDFAST_SEEDS`.
const SEEDS: u64 = 300;

#[test]
fn no_seed_breaks_a_promise() {
    check(SEEDS);
}

#[test]
#[ignore = "a proof: tests/prove model_simulation"]
fn no_seed_of_very_many_breaks_a_promise() {
    check(std::env::var("HOLDFAST_SEEDS").map_or(10_000, |seeds| seeds.parse().expect("a number of seeds")));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [0, 5, 7] {
        assert_eq!(run(seed, None), run(seed, None));
        assert_ne!(run(seed, None), run(seed + 8, None));
    }
}

fn check(seeds: u64) {
    let (mut calls, mut starts, mut refused, mut probed) = (0, 0, 0, 0);
    let mut injected = BTreeMap::<&str, usize>::new();
    let mut broken = None;
    for seed in 0..seeds {
        match run(seed, None) {
            Ok(figures) => {
                calls += figures.calls;
                starts += figures.starts.len();
                refused += figures.refused;
                probed += figures.probed;
                figures.injected.into_iter().for_each(|(kind, count)| *injected.entry(kind).or_default() += count);
            }
            Err(why) => {
                broken = Some(format!("seed {seed}: {why}"));
                break;
            }
        }
    }
    let faults: usize = injected.values().sum();
    let figures = serde_json::json!({
        "seeds": seeds, "calls": calls, "starts": starts, "refused": refused, "probed": probed,
        "faults_injected": faults, "injected": injected, "broken": broken,
    });
    println!("{seeds} seeds: {calls} calls, {faults} faults injected");
    println!("{}", serde_json::json!({ "proof": "model_simulation", "holds": broken.is_none(), "figures": figures }));
    assert_eq!(broken, None);
    // A simulation in which nothing happens proves nothing.
    assert!(starts > 50 * seeds as usize, "{starts} starts");
    assert!(probed > seeds as usize / 8, "{probed} probes");
    assert!(injected.len() >= 9 && injected.values().all(|count| *count > seeds as usize / 20), "{injected:?}");
}

#[test]
fn every_planted_fault_is_caught_by_the_promise_that_it_breaks() {
    let faults = [
        (Fault::FixedWindow, "the provider had to say 429"),
        (Fault::ArrivalAtSending, "the provider had to say 429: too many requests"),
        (Fault::SettlementForgotten, "the limit is not used"),
        (Fault::WeightIgnored, "tenants do not share by weight"),
        (Fault::PriorityWithoutAgeing, "one was passed for too long"),
        (Fault::LostWakeUp, "somebody waits, and nothing wakes them"),
        (Fault::PlaceGivenTwice, "the provider had to say 429: too many requests at once"),
        (Fault::CoolDownShortened, "a key was used in its rest"),
        (Fault::RefusedTooLate, "calls waited in vain"),
        (Fault::CreditForIdling, "tenants do not share by weight"),
        (Fault::RestartForgets, "the provider had to say 429"),
        (Fault::GhostInLine, "a place was given to somebody who went away"),
    ];
    for (fault, promise) in faults {
        let mut broken = (0..80).filter_map(|seed| run(seed, Some(fault)).err());
        assert!(broken.any(|broken| broken.starts_with(promise)), "{fault:?} was not caught as {promise:?}");
    }
}
