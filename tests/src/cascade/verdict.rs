//! What must be true of the phases, and the table of them.

use std::collections::BTreeMap;

use super::case::End;
use super::desk::Settings;
use super::stage::{Hang, Phase};
use crate::load::{Findings, Size, Spread};

/// Cases that succeed by their deadline where the tools are guarded, and where nothing hangs.
const SUCCEED_MIN: f64 = 99.5;
/// What is left where nothing guards the pool, at the most: else it was not starved, and nothing has been shown.
const STARVED_MAX: f64 = 80.0;
/// Agents of the ten that the tool holds on average, at the least.
const HELD_MIN: f64 = 5.0;
/// How much slower the other tools may be for their callers.
const OTHERS_FACTOR_MAX: f64 = 1.2;
/// On a build that is not optimised, and a machine with much else to do.
const OTHERS_FACTOR_MAX_QUICK: f64 = 2.0;
/// Calls that reach a guarded tool which only hangs, for each case.
const REACH_MAX: f64 = 0.25;

impl Phase {
    /// Cases that ended so.
    fn count(&self, is: impl Fn(&End) -> bool) -> usize {
        self.cases.iter().filter(|case| is(&case.end)).count()
    }

    fn degraded(&self) -> usize {
        self.count(|end| *end == End::Degraded)
    }

    fn lost(&self) -> usize {
        self.count(|end| matches!(end, End::Lost(_)))
    }

    /// In percent of all.
    fn succeeded(&self) -> f64 {
        100.0 - self.lost() as f64 / self.cases.len() as f64 * 100.0
    }

    /// Times of what succeeded, in milliseconds.
    fn took(&self) -> Spread {
        self.cases.iter().filter(|case| !matches!(case.end, End::Lost(_))).map(|case| case.took).collect()
    }

    /// Calls that the hanging tool had in hand, on average.
    fn held(&self) -> f64 {
        self.inside.iter().sum::<u64>() as f64 / self.inside.len().max(1) as f64
    }

    /// Why cases were lost, and how many.
    fn losses(&self) -> String {
        let mut losses = BTreeMap::<&str, usize>::new();
        for case in &self.cases {
            if let End::Lost(why) = &case.end {
                *losses.entry(why).or_default() += 1;
            }
        }
        losses.iter().map(|(why, count)| format!(" {why} {count}")).collect()
    }

    /// This phase on one line of the table.
    pub fn row(&self) -> String {
        let (took, real) = (self.took(), self.count(|end| *end == End::Real));
        let others = self.others.values().map(|seen| seen.times.p99()).fold(0.0, f64::max);
        let (settings, hang) = (self.settings.name(), self.hang.name());
        format!(
            "{settings:<10}{hang:<12}{:>6}{real:>7}{:>9}{:>6}{:>9.2}{:>8.0}{:>8.0}{:>7}{:>6}{:>7.1}{others:>12.0} {}",
            self.cases.len(),
            self.degraded(),
            self.lost(),
            self.succeeded(),
            took.median(),
            took.p99(),
            self.calls,
            self.hung,
            self.held(),
            self.losses(),
        )
    }
}

/// Over the rows. Times are those of here, in milliseconds; the tool's calls are those that it counted itself.
pub(super) const HEAD: &str =
    "settings  it hangs     cases   real degraded  lost    in time  p50 ms  p99 ms  calls  hung  in it  others' p99";

/// Judges what one of the settings came to.
pub(super) fn judge(settings: Settings, phases: &[Phase], size: Size, findings: &mut Findings) {
    for phase in phases {
        let name = |what: &str| format!("{}_{}_{what}", settings.name(), phase.hang.name());
        findings.tell(name("cases"), phase.cases.len() as f64);
        findings.tell(name("degraded"), phase.degraded() as f64);
        findings.tell(name("hung"), phase.hung as f64);
        findings.tell(name("calls"), phase.calls as f64);
        findings.tell(name("ms_p50"), phase.took().median());
        findings.tell(name("ms_p99"), phase.took().p99());
        findings.tell(name("load_late_ms_p99"), phase.load_late.p99());
        let percent = name("succeeded_percent");
        match (settings, phase.hang) {
            (Settings::Protected, _) | (_, Hang::Never) => findings.at_least(percent, phase.succeeded(), SUCCEED_MIN),
            (Settings::Plain, Hang::Sometimes) => findings.tell(percent, phase.succeeded()),
            (Settings::Plain, Hang::Always) => {
                findings.at_most(percent, phase.succeeded(), STARVED_MAX);
                findings.at_least(name("held_of_the_pool"), phase.held(), HELD_MIN);
            }
        }
        // The floor: a tool that did not hang has shown nothing.
        let hung_min = match phase.hang {
            Hang::Never => 0.0,
            Hang::Sometimes => size.of(0.005, 0.0),
            Hang::Always => 0.02,
        };
        findings.at_least(name("hung_of_cases"), phase.hung as f64 / phase.cases.len() as f64, hung_min);
        if settings == Settings::Protected && phase.hang == Hang::Always {
            let reach = phase.calls as f64 / phase.cases.len() as f64;
            findings.at_most(name("reached_the_tool"), reach, size.of(REACH_MAX, 1.0));
        }
    }
    if settings == Settings::Protected {
        judge_others(phases, size.of(OTHERS_FACTOR_MAX, OTHERS_FACTOR_MAX_QUICK), findings);
    }
}

/// What the hanging tool costs the callers of others.
fn judge_others(phases: &[Phase], factor_max: f64, findings: &mut Findings) {
    let [undisturbed, disturbed @ ..] = phases else { return };
    for (tool, calm) in &undisturbed.others {
        findings.tell(format!("{tool}_calls"), calm.times.len() as f64);
        findings.tell(format!("{tool}_ms_p99_undisturbed"), calm.times.p99());
        for phase in disturbed {
            let seen = phase.others.get(tool).cloned().unwrap_or_default();
            let name = phase.hang.name();
            findings.tell(format!("{tool}_ms_p99_{name}"), seen.times.p99());
            findings.at_most(format!("{tool}_p99_factor_{name}"), seen.times.p99() / calm.times.p99(), factor_max);
            findings.at_most(format!("{tool}_not_real_{name}"), seen.not_real as f64, 0.0);
        }
    }
}

/// Each case is noted once at the most, and once where its answer says so.
pub(super) fn judge_notes(settings: Settings, phases: &[Phase], noted: &BTreeMap<u64, u64>, findings: &mut Findings) {
    let name = |what: &str| format!("{}_{what}", settings.name());
    let twice = noted.values().filter(|times| **times > 1).count();
    let cases = phases.iter().flat_map(|phase| &phase.cases);
    let missing = cases.filter(|case| case.noted && !noted.contains_key(&case.number)).count();
    findings.tell(name("noted"), noted.len() as f64);
    findings.at_most(name("noted_twice"), twice as f64, 0.0);
    findings.at_most(name("noted_not_at_all"), missing as f64, 0.0);
}
