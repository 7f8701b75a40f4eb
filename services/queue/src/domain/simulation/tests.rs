use std::collections::BTreeMap;

use super::*;

/// Seeds in every run of the tests. A proof takes more, by `HOLDFAST_SEEDS`.
const SEEDS: u64 = 300;

#[test]
fn no_seed_breaks_a_promise() {
    check(SEEDS);
}

#[test]
#[ignore = "a proof: tests/prove simulation"]
fn no_seed_of_very_many_breaks_a_promise() {
    check(std::env::var("HOLDFAST_SEEDS").map_or(10_000, |seeds| seeds.parse().expect("a number of seeds")));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [6, 7] {
        assert_eq!(run(seed, None), run(seed, None));
        assert_ne!(run(seed, None), run(seed + 2, None));
    }
}

fn check(seeds: u64) {
    let (mut events, mut leases) = (0, 0);
    let mut injected = BTreeMap::<&str, usize>::new();
    let mut broken = None;
    for seed in 0..seeds {
        let history = run(seed, None);
        events += history.events.len();
        leases += history.leases();
        history.injected().for_each(|kind| *injected.entry(kind).or_default() += 1);
        broken = history.check().err().map(|broken| format!("seed {seed}: {broken}"));
        if broken.is_some() {
            break;
        }
    }
    let faults: usize = injected.values().sum();
    let figures = serde_json::json!({
        "seeds": seeds, "events": events, "leases": leases, "faults_injected": faults, "injected": injected,
        "broken": broken,
    });
    println!("{seeds} seeds: {events} events, {faults} faults injected");
    println!("{}", serde_json::json!({ "proof": "simulation", "holds": broken.is_none(), "figures": figures }));
    assert_eq!(broken, None);
    // A simulation in which nothing happens proves nothing.
    assert!(leases > 40 * seeds as usize, "{leases} leases");
    assert!(injected.len() >= 11 && injected.values().all(|count| *count > seeds as usize / 4), "{injected:?}");
}

#[test]
fn every_planted_fault_is_caught_by_the_promise_that_it_breaks() {
    let faults = [
        (Fault::EarlyAcknowledgement, "what was acknowledged is not durable"),
        (Fault::IgnoredFence, "an end was confirmed that is not there"),
        (Fault::LostRetry, "acknowledged work is lost"),
        (Fault::EagerRetry, "work started before its time"),
        (Fault::LostAttempts, "work was given up before its policy does"),
        (Fault::DoubleTerminal, "what has ended has another end"),
        (Fault::UnfairPick, "the picks do not keep to the shares"),
        (Fault::SessionOrderIgnored, "a session's order was broken"),
        (Fault::DeadlineIgnored, "expired work started"),
        (Fault::LeaseNotFreed, "acknowledged work is lost"),
        (Fault::LeaseFreedEarly, "a lease was freed before its time"),
        (Fault::CancelledCompletes, "a cancel was confirmed, and the work goes on"),
        (Fault::FenceNotRising, "a fence did not rise"),
        (Fault::EndNotFenced, "a holder that did not give up was not fenced"),
        (Fault::BlindClaim, "two leases are live at once"),
        (Fault::RepeatRefused, "the repeat of an accepted end did not get its first answer"),
        (Fault::KeyIgnored, "one submission was accepted twice"),
        (Fault::LimitIgnored, "more waits than may"),
        (Fault::Miscount, "what waits was not counted"),
    ];
    for (fault, promise) in faults {
        let mut broken = (0..40).filter_map(|seed| run(seed, Some(fault)).check().err());
        assert!(broken.any(|broken| broken.starts_with(promise)), "{fault:?} was not caught as {promise:?}");
    }
}
