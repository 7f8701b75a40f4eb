//! The breaker against a model that remembers every call and counts from scratch.

mod plain;

use std::time::Duration;

use holdfast_resilience::breaker::{Core, Mode, Outcome, Reason, Refused, Settings, Standing, State, Ticket, Window};
use proptest::prelude::*;
use proptest::sample::Index;

use self::plain::{Call, Model, OPEN_MAX_MS, OPEN_MS};

const SLOW_MS: u64 = 100;

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Acquire,
    AcquireClosed,
    Grant,
    Settle(Index, Outcome),
    /// A call's caller goes away; it goes on where it should.
    Orphan(Index),
    Force(Mode),
    /// Another's standing, so much older or newer than what is known.
    Adopt(Standing, i64),
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Auto), Just(Mode::ForcedOpen), Just(Mode::ForcedClosed)]
}

fn standings() -> impl Strategy<Value = Standing> {
    let states = prop_oneof![Just(State::Closed), Just(State::Open), Just(State::HalfOpen)];
    let mode = prop_oneof![4 => Just(Mode::Auto), 1 => modes()];
    let reason = prop_oneof![Just(Reason::ProbeFailed), Just(Reason::SlowRate { slow: 3, calls: 4 })];
    (states, mode, 0..5_u32, 0..3000_u64, reason).prop_map(|(state, mode, openings, open_ms, reason)| Standing {
        state,
        mode,
        openings,
        open_for: at(open_ms),
        reason,
        generation: 0,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Success),
        4 => Just(Outcome::Failure),
        1 => Just(Outcome::Cancelled),
    ];
    let step = prop_oneof![
        20 => (0..400_u64).prop_map(Step::Advance),
        20 => (0..40_u64).prop_map(Step::Advance),
        50 => Just(Step::Acquire),
        5 => Just(Step::AcquireClosed),
        5 => Just(Step::Grant),
        60 => (any::<Index>(), outcome).prop_map(|(which, outcome)| Step::Settle(which, outcome)),
        15 => any::<Index>().prop_map(Step::Orphan),
        3 => modes().prop_map(Step::Force),
        4 => (standings(), -2..4_i64).prop_map(|(standing, ahead)| Step::Adopt(standing, ahead)),
    ];
    prop::collection::vec(step, 0..200)
}

fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![Just(Window::Time(at(1000))), (1..12_u32).prop_map(Window::Calls)];
    let rates = (1..=100_u32, prop::option::of(Just(at(SLOW_MS))), 1..=100_u32);
    (window, 1..8_u32, rates, prop::option::of(1..6_u32), 1..5_u32).prop_map(
        |(window, minimum_calls, (failure_percent, slow_call, slow_percent), consecutive_failures, probes)| Settings {
            window,
            minimum_calls,
            failure_percent,
            slow_call,
            slow_percent,
            consecutive_failures,
            probes,
            ..plain_settings()
        },
    )
}

fn plain_settings() -> Settings {
    Settings { open: at(OPEN_MS), open_max: at(OPEN_MAX_MS), jitter_percent: 0, ..Settings::default() }
}

/// Breaker and model side by side.
struct Pair {
    core: Core,
    model: Model,
    out: Vec<(Ticket, Call)>,
    now: u64,
}

impl Pair {
    fn new(settings: Settings) -> Self {
        Self { core: Core::new(settings.clone(), 7), model: Model::new(settings), out: Vec::new(), now: 0 }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let (now, core, model) = (self.now, &mut self.core, &mut self.model);
        match step {
            Step::Advance(ms) => self.now += ms,
            Step::Acquire => {
                prop_assert_eq!(core.refusal(at(now)), model.refusal(now));
                let both = (core.acquire(at(now)), model.acquire(now));
                self.let_through(both)?;
            }
            Step::AcquireClosed => {
                let both = (core.acquire_closed(at(now)), model.acquire_closed(now));
                self.let_through(both)?;
            }
            Step::Grant => {
                let both = (core.grant(at(now)), model.grant(now));
                self.let_through(both)?;
            }
            Step::Settle(which, outcome) if !self.out.is_empty() => {
                let (ticket, call) = self.out.swap_remove(which.index(self.out.len()));
                core.settle(at(now), ticket, outcome);
                model.settle(now, call, outcome);
            }
            Step::Orphan(which) if !self.out.is_empty() => {
                let which = which.index(self.out.len());
                let (ticket, call) = &mut self.out[which];
                prop_assert_eq!(core.orphan(at(now), ticket), model.orphan(call));
            }
            Step::Settle(..) | Step::Orphan(_) => {}
            Step::Force(mode) => prop_assert_eq!(core.force(at(now), mode), model.force(now, mode)),
            Step::Adopt(standing, ahead) => {
                let generation = model.generation.saturating_add_signed(ahead);
                let standing = Standing { generation, ..standing };
                prop_assert_eq!(core.adopt(at(now), &standing), model.adopt(now, &standing));
            }
        }
        self.compare()
    }

    fn let_through(&mut self, both: (Result<Ticket, Refused>, Result<Call, Refused>)) -> Result<(), TestCaseError> {
        prop_assert_eq!(both.0.err(), both.1.err());
        self.out.extend(both.0.ok().zip(both.1.ok()));
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let (snapshot, model) = (self.core.snapshot(at(self.now)), &self.model);
        let stay = model.stay();
        prop_assert_eq!((snapshot.state, snapshot.mode), (stay.state, stay.mode));
        prop_assert_eq!(snapshot.reason, stay.reason);
        prop_assert_eq!((snapshot.calls, snapshot.failures, snapshot.slow), model.counts(self.now));
        prop_assert_eq!((snapshot.generation, snapshot.openings), (model.generation, model.openings()));
        prop_assert_eq!(snapshot.adopted, stay.adopted.is_some());
        prop_assert_eq!(snapshot.changed_ago, at(self.now - stay.since));
        let left = match (stay.state, stay.mode) {
            (State::Open, Mode::Auto) => stay.until.saturating_sub(self.now),
            (State::Open, _) => OPEN_MS,
            _ => 0,
        };
        prop_assert_eq!(snapshot.retry_after, at(left));
        let open_for = if stay.mode == Mode::Auto { at(left) } else { Duration::ZERO };
        prop_assert_eq!(self.core.standing(at(self.now)), Standing { open_for, ..snapshot.standing() });
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_breaker_does_what_the_model_does(settings in settings(), steps in steps()) {
        let mut pair = Pair::new(settings);
        for step in steps {
            pair.step(step)?;
        }
    }

    #[test]
    fn the_open_time_stays_within_its_jitter_bound(seed: u64, jitter_percent in 0..=100_u32, rounds in 1..10_u32) {
        let mut core = Core::new(Settings { minimum_calls: 1, jitter_percent, ..plain_settings() }, seed);
        let mut now = Duration::ZERO;
        for round in 0..rounds {
            let ticket = core.acquire(now).expect("closed, or the open time has passed");
            core.settle(now, ticket, Outcome::Failure);
            let time = core.snapshot(now).retry_after;
            let base = at((OPEN_MS << round).min(OPEN_MAX_MS));
            prop_assert!(time >= base);
            prop_assert!(time <= base + base * jitter_percent / 100);
            now += time;
        }
    }
}
