//! What no scenario may say, whoever wrote it: numbers that nothing can be played by, and promises that mean nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_config::{ConfigError, Invalid};

use super::{Phase, Scenario, Wanted};
use crate::day::Terms;

/// Of so many invocations a plan is made, and no more.
const INVOCATIONS_MAX: f64 = 10_000_000.0;
/// No phase lasts longer, nor does anybody wait for longer.
const LENGTH_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

impl Scenario {
    /// Whether it can be played, short or whole, with what the command line says of it.
    ///
    /// # Errors
    /// What does not hold: there are no phases left, or no promise's, nobody to ask, or too many invocations.
    pub fn check(&self, terms: Terms) -> Result<(), ConfigError> {
        let placed = |invalid: Invalid| ConfigError {
            origin: self.name.clone(),
            line: None,
            key: Some(invalid.key),
            why: invalid.why,
        };
        self.validate().map_err(placed)?;
        if self.agents().is_empty() {
            let why = "the configuration that is to be played has none, so there is nobody to ask: declare [agents.NAME], or name \
                 another with --config FILE";
            let origin = self.played.as_ref().map_or(&self.name, |own| &own.written.origin).clone();
            return Err(ConfigError { origin, ..placed(Invalid::new("agents", why)) });
        }
        let a_day: f64 = self.time.day.as_secs_f64();
        let of = |phase: &Phase| self.paces(phase, terms).iter().sum::<f64>() * phase.length.as_secs_f64() / a_day;
        let invocations: f64 = self.phases.iter().map(of).sum();
        if invocations.is_finite() && invocations <= INVOCATIONS_MAX {
            return Ok(());
        }
        let why = format!(
            "there would come {invocations:.0} invocations, and {INVOCATIONS_MAX} can be played: lower --volume or --times"
        );
        Err(placed(Invalid::new("volume", why)))
    }

    /// The numbers, the phases' names, and whether each promise has a bound.
    pub(super) fn check_bounds(&self) -> Result<(), Invalid> {
        let invalid = |key: &str, why: &str| Err(Invalid::new(key, why));
        if self.quick.factor.is_some_and(|factor| !(factor >= 1.0 && factor.is_finite())) {
            return invalid("quick.factor", "must be at least 1");
        }
        if !(self.volume.times > 0.0 && self.volume.times.is_finite()) {
            return invalid("volume.times", "must be a number, and more than nothing");
        }
        if *self.time.day > LENGTH_MAX || *self.time.deadline > LENGTH_MAX {
            return invalid("time", "day and deadline must not be longer than a year");
        }
        let lengths = || self.phases.iter().flat_map(|phase| [Some(phase.length), phase.quick]).flatten();
        if lengths().any(|length| length.is_zero() || *length > LENGTH_MAX) {
            return invalid("phases", "length and quick must be longer than nothing, and not longer than a year");
        }
        let texts: BTreeSet<_> = self.phases.iter().map(|phase| &phase.text).collect();
        if texts.len() < self.phases.len() {
            return invalid("phases", "must have a text of their own each: promises name them by it");
        }
        let is_bound = |wanted: &Wanted| {
            let bounds = || [wanted.at_least, wanted.at_most].into_iter().flatten();
            bounds().next().is_some() && bounds().all(f64::is_finite)
        };
        for (list, wanted) in [("failures", &self.failures), ("promises", &self.promises)] {
            if let Some(loose) = wanted.iter().find(|wanted| !is_bound(wanted)) {
                return invalid(list, &format!("{:?} has neither at_least nor at_most", loose.name));
            }
        }
        Ok(())
    }
}
