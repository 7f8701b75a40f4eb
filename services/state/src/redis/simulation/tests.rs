use std::collections::BTreeMap;

use super::*;

/// Seeds in every run of the tests. A proof takes more, by `HOLDFAST_SEEDS`.
const SEEDS: u64 = 60;
/// Seeds in which a planted fault must be caught.
const FAULT_SEEDS: u64 = 50;

#[test]
fn no_seed_breaks_a_promise_behind_a_place() {
    check(SEEDS);
}

#[test]
#[ignore = "a proof: tests/prove state_simulation"]
fn no_seed_of_very_many_breaks_a_promise_behind_a_place() {
    check(std::env::var("HOLDFAST_SEEDS").map_or(3_000, |seeds| seeds.parse().expect("a number of seeds")));
}

#[test]
fn the_same_seed_gives_the_same_history_behind_a_place() {
    for seed in [3, 4] {
        let (first, second) = (run(seed, None), run(seed, None));
        let differ = first.calls.iter().zip(&second.calls).find(|(first, second)| first != second);
        assert!(differ.is_none() && first.calls.len() == second.calls.len(), "{differ:?}");
        assert!(first.calls != run(seed + 2, None).calls);
    }
}

fn check(seeds: u64) {
    let first = std::env::var("HOLDFAST_FIRST_SEED").map_or(0, |seed| seed.parse().expect("a seed"));
    let (mut calls, mut taken, mut epochs, mut lost, mut told) = (0, 0, 0, 0, 0);
    let mut injected = BTreeMap::<&str, u64>::new();
    let mut broken = None;
    for seed in first..first + seeds {
        let mut history = run(seed, None);
        calls += history.calls.len();
        taken += history.takes.len();
        epochs += history.epochs.len();
        lost += history.lost.len();
        told += history.calls.iter().filter(|call| call.told != history::Told::Unknown).count();
        history.injected.iter().for_each(|(what, count)| *injected.entry(what).or_default() += count);
        broken = history.check().err().map(|broken| format!("seed {seed}: {broken}"));
        if broken.is_some() {
            break;
        }
    }
    let faults: u64 = injected.values().sum();
    let figures = serde_json::json!({
        "seeds": seeds, "calls": calls, "answered": told, "writes": taken, "epochs": epochs, "epochs_lost": lost,
        "faults_injected": faults, "injected": injected, "broken": broken,
    });
    println!("{seeds} seeds: {calls} calls, {epochs} epochs, {faults} faults injected");
    println!("{}", serde_json::json!({ "proof": "state_simulation", "holds": broken.is_none(), "figures": figures }));
    assert!(broken.is_none(), "{figures}");
    // A simulation in which nothing happens proves nothing.
    assert!(taken as u64 > 40 * seeds && epochs as u64 > 2 * seeds && lost as u64 > seeds / 3, "{figures}");
    assert!(injected.len() >= 11, "{injected:?}");
}

#[test]
fn every_planted_fault_behind_a_place_is_caught() {
    use super::world::Weather::*;
    use crate::redis::Fault::*;
    // Each with the weather in which it does most harm.
    let faults = [
        (LeaseUnchecked, Parted),
        (EagerChange, Mixed),
        (PositionUnchecked, Mixed),
        (NoTicket, Crowded),
        (MarkBeforeCommit, Mixed),
        (ArmBeforeMark, Mixed),
        (EarlyVisible, Parted),
        (CopyKept, Mixed),
        (IdentityUnchecked, Mixed),
        (LossHidden, Mixed),
    ];
    let catch = |fault, weather| {
        let seeds = (0..FAULT_SEEDS).map(|seed| 3 * seed + weather as u64);
        seeds.into_iter().find_map(|seed| Some((seed, run(seed, Some(fault)).check().err()?)))
    };
    let caught = std::thread::scope(|scope| {
        let work = faults.map(|(fault, weather)| scope.spawn(move || (fault, catch(fault, weather))));
        work.map(|work| work.join().expect("the simulation runs"))
    });
    for (fault, caught) in &caught {
        let short = caught.as_ref().map(|(seed, broken)| (seed, broken.chars().take(150).collect::<String>()));
        println!("{fault:?}: {short:?}");
    }
    let missed: Vec<_> = caught.iter().filter(|(_, caught)| caught.is_none()).collect();
    assert!(missed.is_empty(), "not caught in {FAULT_SEEDS} seeds: {missed:?}");
}
