//! A scenario: the file that says what is played. All times in it are those of the day.

mod builtin;
mod read;
mod settings;
#[cfg(test)]
mod tests;

use std::path::Path;

use holdfast_config::{ConfigError, Invalid, Span};
use serde::Deserialize;
use toml::Table;

use crate::away::Away;
use crate::outcome::{Part, Side};
use crate::own::{Ends, Own};
use crate::pace::Pace;
pub(crate) use settings::lay_over;

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

/// `[time]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// By what all times are divided.
    pub factor: f64,
    /// What arrivals, faults and choices are drawn from, unless the command line says it.
    #[serde(default)]
    pub seed: u64,
    /// The hours in which a day's invocations come.
    pub day: Span,
    /// How long a caller waits for an answer, refusals and second tries included.
    pub deadline: Span,
}

/// `[volume]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// A day's invocations, unless the command line says it.
    pub a_day: u64,
    /// How many times of it are tried, unless the command line says it.
    #[serde(default = "once")]
    pub times: f64,
}

const fn once() -> f64 {
    1.0
}

/// `[[phases]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What it is called.
    pub text: String,
    /// A day's invocations at its pace; without it, those of `[volume]`.
    pub a_day: Option<u64>,
    /// Whether `volume.times` of them come.
    #[serde(default)]
    pub times: bool,
    /// How long it lasts.
    pub length: Span,
    /// What is away throughout.
    pub take: Option<Away>,
    /// How long it lasts in the short form; without it, it is left out there.
    pub quick: Option<Span>,
    /// How invocations come.
    #[serde(default)]
    pub arrivals: Arrivals,
}

/// How invocations come within a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Each by itself, at one pace throughout.
    #[default]
    Even,
    /// In bursts as in a real service: the profile of a trace, stretched over the phase.
    Bursts,
}

/// `[pool]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Invocations that are worked on at once.
    pub workers: u32,
}

/// `[agent]`: what a worker does with an invocation. It reads a record that all share, asks the model some questions at
/// once, calls a tool, asks the model once more, and writes the record.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The agent type.
    pub name: String,
    /// Records that all invocations share.
    pub records: u64,
    /// Where they stand.
    pub namespace: String,
    /// The model, as a provider's clients name it.
    pub model: String,
    /// The key that the provider knows us by.
    pub model_key: String,
    /// Questions to the model at once.
    pub questions: u32,
    /// Times that a question is put again, at once, when the model's side refuses it.
    pub model_retries: u32,
    /// What a question has.
    pub tokens_input: u64,
    /// What an answer has.
    pub tokens_output: u64,
    /// The tool.
    pub tool: String,
    /// A worker that stands in one tool call for longer counts as stalled.
    pub stalled_after: Span,
    /// How long a write of a record may take before the attempt is given up.
    pub write_timeout: Span,
}

/// `[off]`, `[on]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manner {
    /// How records are written.
    pub writes: Writes,
    /// Whom the agents ask.
    pub model: Way,
    /// Whether agents come back to the model when they are told to, rather than at once.
    #[serde(default)]
    pub heeds_retry_after: bool,
    /// Whether the queue is told by when an answer is wanted, so that nobody works on what nobody waits for.
    pub tell_deadline: bool,
    /// What this side has in its `holdfast.toml` beside, or instead of, that of both.
    #[serde(default)]
    pub settings: Table,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    /// Over whatever is there.
    Blind,
    /// On condition of the version that was read; on what the record is by then where it has moved on.
    Versioned,
}

/// The URL that an agent's client of the model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The provider's own.
    Provider,
    /// The mesh's.
    Mesh,
}

/// `[[failures]]`, `[[promises]]`: a figure of a side, and its bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// In words.
    pub name: String,
    /// The figure, by its key in the document.
    pub figure: String,
    /// Of which phase; without it, of the whole run.
    pub phase: Option<String>,
    /// The bounds are multiples of what it is in this phase.
    pub times_of: Option<String>,
    /// Not less than this.
    pub at_least: Option<f64>,
    /// Not more than this.
    pub at_most: Option<f64>,
}

/// `[quick]`: what the short form has otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quick {
    /// By what all times are divided: less, so that a build that is not optimised keeps up.
    pub factor: Option<f64>,
    /// Records that are shared: fewer, so that few invocations still meet.
    pub records: Option<u64>,
    /// Promises and failures that so few invocations cannot show, by their figures.
    pub without: Vec<String>,
    /// What both sides have in their `holdfast.toml` beside, or instead of, the rest.
    pub settings: Table,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// As a pilot is built.
    Off,
    /// Protected.
    On,
}

impl Which {
    /// Its name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
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
        Ok(scenario)
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
        self.time.factor = self.quick.factor.unwrap_or(self.time.factor);
        self.agent.records = self.quick.records.unwrap_or(self.agent.records);
        self.phases.retain_mut(|phase| phase.quick.map(|length| phase.length = length).is_some());
        let shown = |wanted: &Wanted| !self.quick.without.contains(&wanted.figure);
        self.failures.retain(shown);
        self.promises.retain(shown);
        lay_over(&mut self.settings, &self.quick.settings);
        self
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
                (None, None) => Side::default().figures(),
                _ => Part::default().figures(),
            };
            if let Some(unknown) = wanted.iter().find(|wanted| !of(wanted).contains_key(&wanted.figure)) {
                let known = of(unknown).into_keys().collect::<Vec<_>>().join(", ");
                return invalid(list, &format!("there is no figure {:?}; there are {known}", unknown.figure));
            }
        }
        Ok(())
    }
}
