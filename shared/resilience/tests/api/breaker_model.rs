//! The breaker against a model that remembers every call and counts from scratch.

use std::time::Duration;

use holdfast_resilience::breaker::{Core, Outcome, Settings, State, Ticket};
use proptest::prelude::*;

const WINDOW_MS: u64 = 1000;
const OPEN_MS: u64 = 300;
const OPEN_MAX_MS: u64 = 1000;

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Acquire,
    Settle(prop::sample::Index, Outcome),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Success),
        4 => Just(Outcome::Failure),
        1 => Just(Outcome::Cancelled),
    ];
    let step = prop_oneof![
        2 => (0..400_u64).prop_map(Step::Advance),
        5 => Just(Step::Acquire),
        5 => (any::<prop::sample::Index>(), outcome).prop_map(|(which, outcome)| Step::Settle(which, outcome)),
    ];
    prop::collection::vec(step, 0..300)
}

fn settings() -> impl Strategy<Value = Settings> {
    (1..8_u32, 1..=100_u32, prop::option::of(1..6_u32), 1..5_u32).prop_map(
        |(minimum_calls, failure_percent, consecutive_failures, probes)| Settings {
            window: Duration::from_millis(WINDOW_MS),
            minimum_calls,
            failure_percent,
            consecutive_failures,
            open: Duration::from_millis(OPEN_MS),
            open_max: Duration::from_millis(OPEN_MAX_MS),
            jitter_percent: 0,
            probes,
        },
    )
}

/// An ended call: when, and whether it failed.
type Ended = (u64, bool);

/// One stay in one state, with everything that happened in it.
struct Stay {
    state: State,
    until_ms: u64,
    out: u32,
    ended: Vec<Ended>,
}

/// What the breaker shall do, said in the plainest way.
struct Model {
    settings: Settings,
    stays: Vec<Stay>,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let mut model = Self { settings, stays: Vec::new() };
        model.enter(State::Closed, 0);
        model
    }

    fn enter(&mut self, state: State, until_ms: u64) {
        self.stays.push(Stay { state, until_ms, out: 0, ended: Vec::new() });
    }

    fn stay(&mut self) -> &mut Stay {
        self.stays.last_mut().expect("there is always one")
    }

    fn acquire(&mut self, now: u64) -> Option<usize> {
        if self.stay().state == State::Open {
            if now < self.stay().until_ms {
                return None;
            }
            self.enter(State::HalfOpen, 0);
        }
        let probes = self.settings.probes;
        let stay = self.stay();
        let succeeded = u32::try_from(stay.ended.len()).expect("few");
        if stay.state == State::HalfOpen && stay.out + succeeded >= probes {
            return None;
        }
        stay.out += 1;
        Some(self.stays.len() - 1)
    }

    fn settle(&mut self, now: u64, stay: usize, outcome: Outcome) {
        if stay + 1 != self.stays.len() {
            return;
        }
        self.stay().out -= 1;
        if outcome == Outcome::Cancelled {
            return;
        }
        self.stay().ended.push((now, outcome == Outcome::Failure));
        let state = self.stay().state;
        match state {
            State::Closed if self.trips(now) => self.open(now),
            State::HalfOpen if outcome == Outcome::Failure => self.open(now),
            State::HalfOpen if self.stay().ended.len() == self.settings.probes as usize => {
                self.enter(State::Closed, 0);
            }
            _ => {}
        }
    }

    fn open(&mut self, now: u64) {
        let since_closed = self.stays.iter().rev().take_while(|stay| stay.state != State::Closed);
        let rounds = since_closed.filter(|stay| stay.state == State::Open).count();
        let time = (OPEN_MS << rounds.min(20)).min(OPEN_MAX_MS);
        self.enter(State::Open, now + time);
    }

    fn trips(&mut self, now: u64) -> bool {
        let ended = &self.stays.last().expect("there is always one").ended;
        let in_a_row = ended.iter().rev().take_while(|(_, failed)| *failed).count();
        if self.settings.consecutive_failures.is_some_and(|most| in_a_row >= most as usize) {
            return true;
        }
        let slice = WINDOW_MS / 10;
        let recent = ended.iter().filter(|(time, _)| time / slice + 10 > now / slice);
        let (mut calls, mut failures) = (0, 0);
        for (_, failed) in recent {
            calls += 1;
            failures += u32::from(*failed);
        }
        calls >= self.settings.minimum_calls && failures * 100 >= calls * self.settings.failure_percent
    }
}

proptest! {
    #[test]
    fn the_breaker_does_what_the_model_does(settings in settings(), steps in steps()) {
        let mut core = Core::new(settings.clone(), 7);
        let mut model = Model::new(settings.clone());
        let mut out: Vec<(Ticket, usize)> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Advance(ms) => now += ms,
                Step::Acquire => {
                    let got = core.acquire(Duration::from_millis(now));
                    let wanted = model.acquire(now);
                    prop_assert_eq!(got.is_ok(), wanted.is_some());
                    out.extend(got.ok().zip(wanted));
                }
                Step::Settle(which, outcome) if !out.is_empty() => {
                    let (ticket, stay) = out.swap_remove(which.index(out.len()));
                    core.settle(Duration::from_millis(now), ticket, outcome);
                    model.settle(now, stay, outcome);
                }
                Step::Settle(..) => {}
            }
            let snapshot = core.snapshot(Duration::from_millis(now));
            let stay = model.stay();
            prop_assert_eq!(snapshot.state, stay.state);
            if stay.state == State::Open {
                let left = stay.until_ms.saturating_sub(now);
                prop_assert_eq!(snapshot.retry_after, Duration::from_millis(left));
            }
        }
    }

    #[test]
    fn the_open_time_stays_within_its_jitter_bound(seed: u64, jitter_percent in 0..=100_u32, rounds in 1..10_u32) {
        let settings = Settings {
            minimum_calls: 1,
            open: Duration::from_millis(OPEN_MS),
            open_max: Duration::from_millis(OPEN_MAX_MS),
            jitter_percent,
            ..Settings::default()
        };
        let mut core = Core::new(settings, seed);
        let mut now = Duration::ZERO;
        for round in 0..rounds {
            let ticket = core.acquire(now).expect("closed, or the open time has passed");
            core.settle(now, ticket, Outcome::Failure);
            let time = core.snapshot(now).retry_after;
            let base = Duration::from_millis((OPEN_MS << round).min(OPEN_MAX_MS));
            prop_assert!(time >= base);
            prop_assert!(time <= base + base * jitter_percent / 100);
            now += time;
        }
    }
}
