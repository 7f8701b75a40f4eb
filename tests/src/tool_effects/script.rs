//! What happens in a run, all of it drawn from the seed before it begins.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::tool::Place;

/// Invocations of a run, and calls of each.
const INVOCATIONS: usize = 4;
const STEPS: u32 = 4;

/// A run.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) invocations: Vec<Invocation>,
    pub(super) kill: Kill,
}

/// One invocation: its calls, and what becomes of its workers.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    /// No other run has it, of this seed either.
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    /// The end of each worker but the last, who gets through.
    pub(super) ends: Vec<End>,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) tool: &'static str,
    pub(super) fate: Fate,
}

/// What the tool does with the first request of a call. All later ones are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The effect, then the answer.
    Answer,
    /// The same after a while.
    Late(Duration),
    /// The effect, and no answer.
    LoseAnswer,
    /// Neither: it breaks off before.
    LoseRequest,
    /// The effect, then nothing, for longer than anybody waits.
    Hang,
}

/// The end of a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) step: u32,
    pub(super) moment: Moment,
    /// It goes on as if nothing had happened.
    pub(super) zombie: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before it makes the call.
    Before,
    /// So long after it made it.
    Under(Duration),
    /// When it has the answer.
    Answered,
}

/// When the proxy is killed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kill {
    /// So long after the beginning.
    After(Duration),
    /// When so many requests have come to the tools; this one has had its effect by then, or has not.
    AtHit { number: usize, after_effect: bool },
}

impl Script {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let run = format!("{seed}-{}", holdfast_rpc::id::new());
        let name = |number| format!("{run}-{number}");
        let invocations = (0..INVOCATIONS).map(|number| Invocation::draw(name(number), &mut rng)).collect();
        let kill = match rng.random_range(0..10) {
            0..3 => Kill::After(Duration::from_micros(rng.random_range(0..40_000))),
            _ => Kill::AtHit { number: rng.random_range(1..=12), after_effect: rng.random() },
        };
        Self { invocations, kill }
    }

    /// Every call with its place.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, Step)> {
        let calls = |invocation: &Invocation| {
            let name = invocation.name.clone();
            (0..).zip(invocation.steps.clone()).map(move |(step, call)| ((name.clone(), step), call))
        };
        self.invocations.iter().flat_map(calls)
    }
}

impl Invocation {
    fn draw(name: String, rng: &mut SmallRng) -> Self {
        let steps = (0..STEPS).map(|_| Step::draw(rng)).collect();
        let ends = (0..rng.random_range(0..3)).map(|_| End::draw(rng)).collect();
        Self { name, steps, ends }
    }
}

impl Step {
    fn draw(rng: &mut SmallRng) -> Self {
        let tool = if rng.random() { "once" } else { "pay" };
        let fate = match rng.random_range(0..20) {
            0..9 => Fate::Answer,
            9..12 => Fate::Late(Duration::from_millis(rng.random_range(1..30))),
            12..16 => Fate::LoseAnswer,
            16..19 => Fate::LoseRequest,
            // The idempotent tool's callers are patient: there it would only take long.
            _ if tool == "pay" => Fate::Hang,
            _ => Fate::LoseAnswer,
        };
        Self { tool, fate }
    }
}

impl End {
    fn draw(rng: &mut SmallRng) -> Self {
        let moment = match rng.random_range(0..4) {
            0 => Moment::Before,
            1 => Moment::Answered,
            _ => Moment::Under(Duration::from_micros(rng.random_range(0..20_000))),
        };
        Self { step: rng.random_range(0..STEPS), moment, zombie: rng.random_range(0..3) == 0 }
    }
}
