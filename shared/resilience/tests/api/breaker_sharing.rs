//! One breaker's standing, taken over by its successor after a restart and by its like in other processes.

use std::time::Duration;

use holdfast_resilience::breaker::{Core, Mode, Outcome, Reason, Settings, Standing, State, Ticket};

const OPEN: Duration = Duration::from_secs(1);

fn settings() -> Settings {
    Settings { minimum_calls: 1, open: OPEN, open_max: 8 * OPEN, jitter_percent: 0, probes: 3, ..Settings::default() }
}

fn core() -> Core {
    Core::new(settings(), 7)
}

fn trip(core: &mut Core, now: Duration) {
    let ticket = core.acquire(now).expect("it may pass");
    core.settle(now, ticket, Outcome::Failure);
    assert_eq!(core.snapshot(now).state, State::Open);
}

/// Stored and read again.
fn stored(standing: Standing) -> Standing {
    let text = serde_json::to_string(&standing).expect("plain data");
    serde_json::from_str(&text).expect("it was written so")
}

#[test]
fn an_open_breaker_stays_open_over_a_restart_for_what_is_left_of_its_time() {
    let mut before = core();
    trip(&mut before, Duration::ZERO);
    trip(&mut before, OPEN);
    let standing = stored(before.standing(2 * OPEN));
    assert_eq!((standing.state, standing.openings, standing.open_for), (State::Open, 2, OPEN));

    // The new process has a clock of its own, and half of the rest passed while it started.
    let (mut after, now) = (core(), Duration::from_millis(5));
    assert!(after.adopt(now, &Standing { open_for: OPEN / 2, ..standing }));
    assert_eq!(after.acquire(now).unwrap_err().retry_after, OPEN / 2);
    assert_eq!(after.snapshot(now).reason, Reason::ProbeFailed);
    let probing = now + OPEN / 2;
    trip(&mut after, probing);
    assert_eq!(after.snapshot(probing).retry_after, 4 * OPEN, "it goes on doubling where it was");
}

#[test]
fn what_an_operator_said_survives_a_restart() {
    for (mode, passes) in [(Mode::ForcedOpen, false), (Mode::ForcedClosed, true)] {
        let mut before = core();
        before.force(Duration::ZERO, mode);
        let mut after = core();
        assert!(after.adopt(Duration::ZERO, &stored(before.standing(9 * OPEN))));
        assert_eq!(after.acquire(100 * OPEN).is_ok(), passes);
        assert_eq!(after.snapshot(100 * OPEN).reason, Reason::Forced(mode));
    }
}

#[test]
fn every_reason_survives_being_stored() {
    let reasons = [
        Reason::Started,
        Reason::FailureRate { failures: 1, calls: 2 },
        Reason::SlowRate { slow: 1, calls: 2 },
        Reason::ConsecutiveFailures(3),
        Reason::OpenTimePassed,
        Reason::ProbeFailed,
        Reason::ProbesSlow { slow: 1, probes: 2 },
        Reason::ProbesSucceeded,
        Reason::Forced(Mode::Auto),
    ];
    for reason in reasons {
        let standing = Standing { reason, ..core().standing(Duration::ZERO) };
        assert_eq!(stored(standing), standing);
    }
}

#[test]
fn an_older_standing_and_ones_own_echo_change_nothing() {
    let (mut one, now) = (core(), Duration::ZERO);
    let closed = one.standing(now);
    trip(&mut one, now);
    let (echo, before) = (one.standing(now), one.snapshot(OPEN / 2));
    assert!(!one.adopt(now, &closed), "it knows better");
    assert!(!one.adopt(OPEN / 2, &echo), "it would stay open for longer with each echo");
    assert_eq!(one.snapshot(OPEN / 2), before);
}

#[test]
fn a_standing_from_outside_cannot_hold_it_open_for_longer_than_its_own_limit() {
    let mut one = Core::new(Settings { jitter_percent: 50, ..settings() }, 7);
    let standing = Standing { state: State::Open, open_for: Duration::MAX, generation: u64::MAX, ..one.standing(OPEN) };
    assert!(one.adopt(OPEN, &standing));
    assert_eq!(one.snapshot(OPEN).retry_after, 12 * OPEN);
    // The last of all numbers does not stop it either.
    trip(&mut one, 13 * OPEN);
}

#[test]
fn a_call_from_before_another_standing_was_taken_over_decides_nothing() {
    let (mut one, now) = (core(), Duration::ZERO);
    let early = one.acquire(now).expect("closed");
    let held = Standing { mode: Mode::ForcedClosed, ..one.standing(now) };
    assert!(one.adopt(now, &held), "of the same generation, and different");
    assert!(one.adopt(now, &Standing { mode: Mode::Auto, ..held }));
    one.settle(now, early, Outcome::Failure);
    assert_eq!((one.snapshot(now).state, one.snapshot(now).calls), (State::Closed, 0));
}

/// Counts the probes of all, and tells everybody how the others stand.
struct Arbiter {
    cores: Vec<Core>,
    probes: u32,
}

impl Arbiter {
    fn ask(&mut self, which: usize, now: Duration) -> Option<Ticket> {
        let refused = match self.cores[which].acquire_closed(now) {
            Ok(ticket) => return Some(ticket),
            Err(refused) => refused,
        };
        let due = refused.retry_after.is_zero() || refused.state == State::HalfOpen;
        if !due || self.probes == settings().probes {
            return None;
        }
        self.probes += 1;
        self.cores[which].grant(now).ok()
    }

    fn tell(&mut self, from: usize, now: Duration) {
        let standing = self.cores[from].standing(now);
        for core in &mut self.cores {
            core.adopt(now, &standing);
        }
    }
}

#[test]
fn breakers_that_ask_an_arbiter_let_exactly_n_probes_pass_in_all() {
    let mut all = Arbiter { cores: vec![core(), core(), core()], probes: 0 };
    trip(&mut all.cores[0], Duration::ZERO);
    all.tell(0, Duration::ZERO);
    assert!((0..3).all(|which| all.ask(which, OPEN / 2).is_none()), "one has found out for all");

    let granted: Vec<_> = (0..30).map(|turn| (turn % 3, all.ask(turn % 3, OPEN))).collect();
    let probes: Vec<_> = granted.into_iter().filter_map(|(which, ticket)| Some((which, ticket?))).collect();
    assert_eq!(probes.len(), 3);
    let (failing, ticket) = probes[2];
    all.cores[failing].settle(OPEN, ticket, Outcome::Failure);
    all.tell(failing, OPEN);
    for core in &all.cores {
        assert_eq!(core.refusal(OPEN).expect("open again").retry_after, 2 * OPEN);
    }
    let (late, ticket) = probes[0];
    all.cores[late].settle(OPEN, ticket, Outcome::Success);
    assert_eq!(all.cores[late].snapshot(OPEN).state, State::Open, "a probe of the round before decides nothing");
}
