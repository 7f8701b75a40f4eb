//! A scenario: the file that says what is played. All times in it are those of the day.

mod bounds;
mod builtin;
mod ground;
mod read;
mod sections;
mod settings;
mod tenants;
#[cfg(test)]
mod tests;
mod written;

use std::path::Path;

use holdfast_config::{ConfigError, Invalid};
use serde::Deserialize;
use toml::Table;

use crate::outcome::{Part, Side, names};
use crate::own::{Ends, Own};
use crate::pace::Pace;
pub use sections::{Agent, Arrivals, Manner, Phase, Pool, Quick, Tenant, Time, Volume, Wanted, Way, Which, Writes};
pub(crate) use settings::lay_over;
pub(crate) use tenants::Key;
pub use written::Written;

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about, in one line.
    pub title: String,
    /// What is played, in a few sentences.
    pub story: String,
    /// When everything happens.
    pub time: Time,
    /// How much a day brings.
    pub volume: Volume,
    /// Stretches of the day, one after the other.
    pub phases: Vec<Phase>,
    /// Whose callers come.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
    /// The workers.
    pub pool: Pool,
    /// What they do.
    pub agent: Agent,
    /// `holdfast.toml`, as both sides have it.
    #[serde(default)]
    pub settings: Table,
    /// Somebody's own agents are played, on ends that behave so.
    pub own: Option<Ends>,
    /// Those, once they are known.
    #[serde(skip)]
    pub(crate) played: Option<Own>,
    /// Where it stands.
    #[serde(skip)]
    written: Written,
    /// Whether this is its short form.
    #[serde(skip)]
    is_quick: bool,
    /// As a pilot is built.
    pub off: Manner,
    /// Protected.
    pub on: Manner,
    /// The failures that are to be seen on the unprotected side.
    #[serde(default)]
    pub failures: Vec<Wanted>,
    /// What must hold on the protected side.
    #[serde(default)]
    pub promises: Vec<Wanted>,
    /// The short form.
    #[serde(default)]
    pub quick: Quick,
}

impl Scenario {
    /// Those that are built in, by name and title.
    pub fn all() -> Vec<(String, String)> {
        builtin::all().into_iter().map(|scenario| (scenario.name, scenario.title)).collect()
    }

    /// The built-in one of this name, or else the file.
    ///
    /// # Errors
    /// There is neither; or the file has a line that does not hold.
    pub fn find(name: &str) -> Result<Self, ConfigError> {
        match builtin::text(name) {
            Some(text) => Self::parse(name, text),
            None if Path::new(name).exists() || name.ends_with(".toml") => Self::parse(name, &read::file(name)?),
            None => {
                let known = builtin::names().join(", ");
                let why = format!("is neither a scenario ({known}) nor a file");
                Err(ConfigError { origin: name.into(), line: None, key: None, why })
            }
        }
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// The first line that does not hold.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ConfigError> {
        let scenario: Self = read::document(origin, text)?;
        scenario.validate().map_err(|invalid| read::locate(origin, text, &invalid))?;
        Ok(Self { written: Written { origin: origin.into(), text: text.into() }, ..scenario })
    }

    /// How much faster than the day it runs.
    pub const fn pace(&self) -> Pace {
        Pace(self.time.factor)
    }

    /// A side's own part.
    pub const fn manner(&self, which: Which) -> &Manner {
        match which {
            Which::Off => &self.off,
            Which::On => &self.on,
        }
    }

    /// The same in its short form.
    #[must_use]
    pub fn quick(mut self) -> Self {
        self.is_quick = true;
        self.time.factor = self.quick.factor.unwrap_or(self.time.factor);
        self.agent.records = self.quick.records.unwrap_or(self.agent.records);
        self.phases.retain_mut(|phase| phase.quick.map(|length| phase.length = length).is_some());
        self.judge_what_is_played();
        let shown = |wanted: &Wanted| !self.quick.without.contains(&wanted.figure);
        self.failures.retain(shown);
        self.promises.retain(shown);
        lay_over(&mut self.settings, &self.quick.settings);
        self
    }

    /// What is to be known of its short form, of so many invocations; None of the whole.
    pub(crate) fn short_form(&self, invocations: usize) -> Option<String> {
        let all = [format!("{invocations} invocations")].into_iter();
        let not_judged = self.quick.without.iter().map(|figure| format!("not judged: {}", figure.replace('_', " ")));
        self.is_quick.then(|| all.chain(not_judged).collect::<Vec<_>>().join("; "))
    }

    fn validate(&self) -> Result<(), Invalid> {
        let invalid = |key: &str, why: &str| Err(Invalid::new(key, why));
        if !(self.time.factor >= 1.0 && self.time.factor.is_finite()) {
            return invalid("time.factor", "must be at least 1");
        }
        if self.time.day.is_zero() || self.time.deadline.is_zero() {
            return invalid("time", "day and deadline must be longer than nothing");
        }
        if self.phases.is_empty() {
            return invalid("phases", "must have at least one");
        }
        if self.volume.a_day == 0 || self.volume.times <= 0.0 {
            return invalid("volume", "a_day and times must be more than nothing");
        }
        if self.pool.workers == 0 {
            return invalid("pool.workers", "must be at least 1");
        }
        if self.agent.records == 0 || self.quick.records == Some(0) {
            return invalid("agent.records", "must be at least 1");
        }
        self.check_tenants()?;
        self.check_bounds()?;
        let phase = |wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| self.phases.iter().any(|phase| phase.text == *wanted))
        };
        for (list, wanted) in [("failures", &self.failures), ("promises", &self.promises)] {
            if !wanted.iter().all(|wanted| phase(&wanted.phase) && phase(&wanted.times_of)) {
                return invalid(list, "phase and times_of must be the text of a phase");
            }
        }
        for (list, wanted) in [("failures", &self.failures), ("promises", &self.promises)] {
            let of = |wanted: &Wanted| match (&wanted.phase, &wanted.times_of) {
                (None, None) if wanted.tenants.is_empty() => names(&Side::default()),
                _ => names(&Part::default()),
            };
            if let Some(unknown) = wanted.iter().find(|wanted| !of(wanted).contains(&wanted.figure)) {
                let known = of(unknown).join(", ");
                return invalid(list, &format!("there is no figure {:?}; there are {known}", unknown.figure));
            }
        }
        Ok(())
    }
}
