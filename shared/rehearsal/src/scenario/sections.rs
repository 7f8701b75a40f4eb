//! The sections of a scenario's file.

use holdfast_config::Span;
use serde::Deserialize;
use toml::Table;

use crate::away::Away;

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
    /// The tenant whose share alone it is that comes so many times; without it, everybody's.
    pub of: Option<String>,
    /// How long it lasts.
    pub length: Span,
    /// What is away throughout.
    pub take: Option<Away>,
    /// What was away before, and is back: where it is not taken, this phase is left out too.
    pub after: Option<Away>,
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

/// `[[tenants]]`: whose callers come. Without any, all callers are one tenant's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its part of what comes, beside those of the others.
    #[serde(default = "once")]
    pub share: f64,
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
    /// Whether the mesh knows tenants apart: each has a key of its own. Else they are all one.
    #[serde(default)]
    pub knows_tenants: bool,
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
    /// Of which tenants, each by itself: it is so where it is so for all of them. Without any, of all callers together.
    #[serde(default)]
    pub tenants: Vec<String>,
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
