//! What the breaker's core promises, one history each.

use std::time::Duration;

use holdfast_resilience::breaker::{Core, Mode, Outcome, Reason, Settings, State, Window};

const OPEN: Duration = Duration::from_millis(300);

const fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn settings() -> Settings {
    Settings { minimum_calls: 4, open: OPEN, open_max: 4 * OPEN, jitter_percent: 0, ..Settings::default() }
}

fn core(settings: Settings) -> Core {
    settings.validate().expect("usable");
    Core::new(settings, 7)
}

/// One call that begins at `now` and takes so long; it must be let through.
fn call(core: &mut Core, now: Duration, took: Duration, outcome: Outcome) {
    let ticket = core.acquire(now).expect("it may pass");
    core.settle(now + took, ticket, outcome);
}

fn fail(core: &mut Core, now: Duration, times: u32) {
    (0..times).for_each(|_| call(core, now, Duration::ZERO, Outcome::Failure));
}

#[test]
fn calls_that_take_too_long_open_it_though_every_one_succeeds() {
    let mut core = core(Settings { slow_call: Some(at(100)), slow_percent: 75, ..settings() });
    for (turn, took) in [(0, 100), (1, 101), (2, 101), (3, 101)] {
        assert_eq!(core.snapshot(at(0)).state, State::Closed);
        call(&mut core, at(turn * 200), at(took), Outcome::Success);
    }
    let snapshot = core.snapshot(at(800));
    assert_eq!((snapshot.state, snapshot.reason), (State::Open, Reason::SlowRate { slow: 3, calls: 4 }));
    assert_eq!(snapshot.reason.to_string(), "3 of 4 calls were slow");
}

#[test]
fn what_was_waited_for_before_a_call_began_does_not_make_it_slow() {
    let mut core = core(Settings { slow_call: Some(at(100)), slow_percent: 75, minimum_calls: 2, ..settings() });
    let mut waited = core.acquire(at(0)).expect("closed");
    core.begin(at(500), &mut waited);
    core.settle(at(600), waited, Outcome::Success);
    assert_eq!(core.snapshot(at(600)).slow, 0);
    let mut slow = core.acquire(at(600)).expect("closed");
    core.begin(at(700), &mut slow);
    core.settle(at(801), slow, Outcome::Success);
    assert_eq!(core.snapshot(at(801)).slow, 1);
}

#[test]
fn a_failure_that_took_long_counts_for_both_rates() {
    let mut core = core(Settings { slow_call: Some(at(100)), slow_percent: 50, failure_percent: 100, ..settings() });
    call(&mut core, at(0), at(101), Outcome::Failure);
    call(&mut core, at(200), at(101), Outcome::Success);
    for _ in 0..2 {
        call(&mut core, at(400), at(101), Outcome::Cancelled);
        call(&mut core, at(600), at(0), Outcome::Success);
    }
    assert_eq!(core.snapshot(at(600)).reason, Reason::SlowRate { slow: 2, calls: 4 });
}

#[test]
fn probes_that_succeed_slowly_do_not_close_it() {
    let mut core = core(Settings { slow_call: Some(at(100)), slow_percent: 50, probes: 3, ..settings() });
    fail(&mut core, at(0), 4);
    call(&mut core, OPEN, at(101), Outcome::Success);
    assert_eq!(core.snapshot(OPEN).state, State::HalfOpen);
    call(&mut core, 2 * OPEN, at(101), Outcome::Success);
    let snapshot = core.snapshot(2 * OPEN);
    assert_eq!((snapshot.state, snapshot.reason), (State::Open, Reason::ProbesSlow { slow: 2, probes: 3 }));
    assert!(snapshot.retry_after > OPEN, "the second open time is longer");
}

#[test]
fn a_window_of_calls_forgets_by_number_and_never_by_time() {
    let mut core = core(Settings { window: Window::Calls(4), ..settings() });
    fail(&mut core, at(0), 1);
    let later = Duration::from_secs(86_400);
    (0..2).for_each(|_| call(&mut core, later, Duration::ZERO, Outcome::Success));
    assert_eq!(core.snapshot(later).failures, 1, "a day later it still counts");
    (0..2).for_each(|_| call(&mut core, later, Duration::ZERO, Outcome::Success));
    fail(&mut core, later, 1);
    assert_eq!(core.snapshot(later).state, State::Closed, "the first failure is the fifth last call");
    fail(&mut core, later, 1);
    assert_eq!(core.snapshot(later).reason, Reason::FailureRate { failures: 2, calls: 4 });
}

#[test]
fn while_held_open_nothing_passes_however_long_it_lasts() {
    let mut core = core(settings());
    assert!(core.force(at(0), Mode::ForcedOpen));
    for now in [at(0), OPEN, Duration::from_secs(86_400)] {
        assert_eq!(core.acquire(now).unwrap_err().state, State::Open);
        assert!(core.acquire_closed(now).is_err() && core.grant(now).is_err());
        assert!(core.refusal(now).is_some_and(|refused| !refused.retry_after.is_zero()));
    }
    assert_eq!(core.snapshot(OPEN).reason.to_string(), "opened by hand");
}

#[test]
fn left_to_itself_after_being_held_open_it_probes_first() {
    let mut core = core(Settings { probes: 1, ..settings() });
    core.force(at(0), Mode::ForcedOpen);
    assert!(core.force(at(10), Mode::Auto));
    call(&mut core, at(10), Duration::ZERO, Outcome::Failure);
    assert_eq!(core.snapshot(at(10)).reason, Reason::ProbeFailed);
    call(&mut core, at(10) + OPEN, Duration::ZERO, Outcome::Success);
    assert_eq!(core.snapshot(at(10) + OPEN).state, State::Closed);
}

#[test]
fn while_held_closed_failures_are_seen_and_change_nothing() {
    let mut core = core(settings());
    fail(&mut core, at(0), 4);
    assert!(core.force(at(1), Mode::ForcedClosed));
    fail(&mut core, at(1), 100);
    let snapshot = core.snapshot(at(1));
    assert_eq!((snapshot.state, snapshot.calls, snapshot.failures), (State::Closed, 100, 100));
    assert!(!core.force(at(1), Mode::ForcedClosed), "it is held closed already");
    assert!(core.force(at(2), Mode::Auto));
    fail(&mut core, at(2), 3);
    assert_eq!(core.snapshot(at(2)).state, State::Closed, "it begins anew");
    fail(&mut core, at(2), 1);
    assert_eq!(core.snapshot(at(2)).retry_after, OPEN, "and its open times too");
}

#[test]
fn callers_who_all_give_up_before_the_answer_do_not_keep_it_half_open() {
    let mut core = core(Settings { probes: 2, ..settings() });
    fail(&mut core, at(0), 4);
    let mut gives_up = || {
        let mut ticket = core.acquire(OPEN).expect("the place of the one before is free again");
        (core.orphan(OPEN, &mut ticket), ticket)
    };
    let [first, second, third] = [gives_up(), gives_up(), gives_up()];
    assert!(first.0 && second.0);
    assert!(!third.0, "two that succeed are enough");
    core.settle(OPEN, third.1, Outcome::Cancelled);
    assert_eq!(core.snapshot(OPEN).state, State::HalfOpen);
    core.settle(2 * OPEN, first.1, Outcome::Success);
    core.settle(2 * OPEN, second.1, Outcome::Success);
    assert_eq!(core.snapshot(2 * OPEN).reason, Reason::ProbesSucceeded);
}

#[test]
fn a_probe_whose_caller_has_gone_away_opens_it_again_where_it_fails() {
    let mut core = core(settings());
    fail(&mut core, at(0), 4);
    let mut ticket = core.acquire(OPEN).expect("a probe");
    assert!(core.orphan(OPEN, &mut ticket));
    core.settle(OPEN, ticket, Outcome::Failure);
    assert_eq!(core.snapshot(OPEN).reason, Reason::ProbeFailed);
    let mut late = core.acquire(10 * OPEN).expect("the next round");
    assert!(core.force(10 * OPEN, Mode::ForcedOpen));
    assert!(!core.orphan(10 * OPEN, &mut late), "nobody wants to know any more");
}

#[test]
fn a_call_that_is_no_probe_need_not_go_on_without_its_caller() {
    let mut core = core(settings());
    let mut ticket = core.acquire(at(0)).expect("closed");
    assert!(!ticket.is_probe() && !core.orphan(at(0), &mut ticket));
}

/// Histories in which earlier versions were wrong.
#[test]
fn what_went_wrong_once_stays_right() {
    let one = Settings { minimum_calls: 2, probes: 1, ..settings() };
    let mut last_probe_first = core(Settings { failure_percent: 81, ..one.clone() });
    fail(&mut last_probe_first, at(0), 2);
    call(&mut last_probe_first, OPEN, Duration::ZERO, Outcome::Success);
    assert_eq!(last_probe_first.snapshot(OPEN).state, State::Closed);

    let mut cancelled_probe = core(Settings { minimum_calls: 1, failure_percent: 1, ..one.clone() });
    fail(&mut cancelled_probe, at(0), 1);
    call(&mut cancelled_probe, OPEN, Duration::ZERO, Outcome::Cancelled);
    assert!(cancelled_probe.acquire(OPEN).is_ok(), "its place is free again");

    let mut rate_just_reached = core(Settings { failure_percent: 75, consecutive_failures: Some(5), ..one });
    let tickets: Vec<_> = (0..4).map(|_| rate_just_reached.acquire(at(0)).expect("closed")).collect();
    let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Failure, Outcome::Failure];
    for (ticket, outcome) in tickets.into_iter().zip(outcomes) {
        assert_eq!(rate_just_reached.snapshot(at(0)).state, State::Closed);
        rate_just_reached.settle(at(0), ticket, outcome);
    }
    assert_eq!(rate_just_reached.snapshot(at(0)).reason, Reason::FailureRate { failures: 3, calls: 4 });
}
