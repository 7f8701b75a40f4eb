//! The day as it comes: which invocation when.

mod bursts;

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::away::Outage;
use crate::outcome::Mark;
use crate::scenario::{Arrivals, Phase, Scenario};

/// What the command line says of a day.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// A day's invocations.
    pub volume: Option<u64>,
    /// How many times of them.
    pub times: Option<f64>,
    /// What is drawn from.
    pub seed: Option<u64>,
}

/// When everything comes, in time as it is here.
#[derive(Debug, Clone)]
pub struct Day {
    /// When each invocation is asked for, in order.
    pub arrivals: Vec<Duration>,
    /// By whose caller, by the tenant's number.
    pub whose: Vec<usize>,
    /// The phases.
    pub phases: Vec<Mark>,
    /// What is away meanwhile.
    pub(crate) outages: Vec<Outage>,
    /// How long all of it takes.
    pub length: Duration,
    /// What it was drawn from.
    pub seed: u64,
}

impl Day {
    /// Plans a day: the same for the same seed.
    pub fn plan(scenario: &Scenario, terms: Terms) -> Self {
        let seed = terms.seed.unwrap_or(scenario.time.seed);
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut comes, mut phases, mut begins) = (Vec::new(), Vec::new(), Duration::ZERO);
        let mut outages = Vec::new();
        for phase in &scenario.phases {
            let length = scenario.pace().here(*phase.length);
            let place = |chance: f64| match phase.arrivals {
                Arrivals::Even => chance,
                Arrivals::Bursts => bursts::place(chance),
            };
            for (tenant, pace) in scenario.paces(phase, terms).into_iter().enumerate() {
                let count = (pace * share(scenario, phase)).round() as u64;
                let chances = (0..count).map(|_| rng.random::<f64>());
                comes.extend(chances.map(|chance| (begins + length.mul_f64(place(chance)), tenant)));
            }
            let ends = begins + length;
            let (from_ms, until_ms) = (begins.as_millis() as u64, ends.as_millis() as u64);
            phases.push(Mark { from_ms, until_ms, text: phase.text.clone(), fault: phase.take.is_some() });
            outages.extend(phase.take.map(|what| Outage { what, from: begins, until: ends }));
            begins = ends;
        }
        comes.sort_unstable();
        let (arrivals, whose) = comes.into_iter().unzip();
        Self { arrivals, whose, phases, outages, length: begins, seed }
    }
}

/// The part of a day that a phase is.
fn share(scenario: &Scenario, phase: &Phase) -> f64 {
    phase.length.as_secs_f64() / scenario.time.day.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario::find("day-four").expect("it is built in")
    }

    #[test]
    fn a_day_brings_what_it_is_said_to_bring_and_the_same_for_the_same_seed() {
        let (scenario, terms) = (scenario(), Terms::default());
        let day = Day::plan(&scenario, terms);
        assert_eq!(day.arrivals.len(), 50 + 12_000);
        assert!(day.arrivals.is_sorted() && day.arrivals.last().is_some_and(|last| *last <= day.length));
        assert_eq!(day.arrivals, Day::plan(&scenario, terms).arrivals);
        assert_ne!(day.arrivals, Day::plan(&scenario, Terms { seed: Some(9), ..terms }).arrivals);
    }

    #[test]
    fn the_command_line_says_volume_and_times_where_a_phase_has_none_of_its_own() {
        let terms = Terms { volume: Some(1_000), times: Some(3.0), seed: None };
        assert_eq!(Day::plan(&scenario(), terms).arrivals.len(), 50 + 3_000);
    }

    #[test]
    fn a_flood_is_one_tenants_and_the_others_come_as_always() {
        let scenario = Scenario::find("noisy-tenant").expect("it is built in");
        let day = Day::plan(&scenario, Terms::default());
        let flood = day.phases.iter().position(|phase| phase.text == "flood").expect("there is one");
        let came = |phase: usize, tenant: &str| {
            let number = scenario.tenants.iter().position(|known| known.name == tenant).expect("there is one");
            let within = day.phases[phase].from_ms..day.phases[phase].until_ms;
            let both = day.arrivals.iter().zip(&day.whose);
            both.filter(|(at, whose)| **whose == number && within.contains(&(at.as_millis() as u64))).count()
        };
        assert_eq!(came(flood, "crawler"), 100 * came(0, "crawler"));
        assert!(came(0, "crawler") > 0);
        for quiet in ["desk", "shop", "claims"] {
            assert_eq!(came(flood, quiet), came(0, quiet));
        }
        assert!(day.arrivals.is_sorted() && day.whose.len() == day.arrivals.len());
    }

    #[test]
    fn time_is_compressed_by_the_factor() {
        let (whole, quick) = (scenario(), scenario().quick());
        for scenario in [whole, quick] {
            let day = Day::plan(&scenario, Terms::default());
            let hours: Duration = scenario.phases.iter().map(|phase| *phase.length).sum();
            assert_eq!(day.length.as_millis(), hours.div_f64(scenario.time.factor).as_millis());
        }
    }
}
