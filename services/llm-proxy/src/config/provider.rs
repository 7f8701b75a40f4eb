use std::collections::BTreeSet;

use holdfast_config::{Invalid, Secret, Span};
use holdfast_resilience::breaker::{WINDOW, Window};
use serde::Deserialize;

use super::Key;

/// `[providers.NAME]`: who answers, and what they allow.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The protocol that it speaks.
    pub kind: Kind,
    /// Its address: for `openai` and `anthropic` up to and including `/v1`, for `azure` the resource's;
    /// `simulator:/v1` is the mesh's simulator.
    pub base_url: String,
    /// The version of the protocol, where it has one: `azure` needs it, `anthropic` has a default.
    #[serde(default)]
    pub api_version: Option<String>,
    /// The keys among which calls are spread.
    pub keys: Vec<Key>,
    /// What counts as a minute in the keys' limits; shorter only where time is compressed, as in rehearsals.
    #[serde(default = "default::window")]
    pub window: Span,
    /// A further authority (PEM) that signs its certificate, for private gateways.
    #[serde(default)]
    pub authority: Option<Secret>,
    /// How long connecting may take.
    #[serde(default = "default::connect_timeout")]
    pub connect_timeout: Span,
    /// How long a whole answer, or the beginning of a stream, may take.
    #[serde(default = "default::timeout")]
    pub timeout: Span,
    /// How long a stream may be silent.
    #[serde(default = "default::idle_timeout")]
    pub idle_timeout: Span,
    /// How long a key rests after a 429 that does not say.
    #[serde(default = "default::cooldown")]
    pub cooldown: Span,
    /// How long a key is left alone after the provider did not take it.
    #[serde(default = "default::quarantine")]
    pub quarantine: Span,
    /// The circuit breaker of each of its deployments.
    #[serde(default)]
    pub breaker: Breaker,
    /// Whether it is told the trace that a call belongs to (W3C `traceparent`); absent, only on this machine.
    #[serde(default)]
    pub trace: Option<bool>,
}

/// The protocol that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenAI's chat completions, and whatever is compatible with them.
    #[serde(rename = "openai")]
    OpenAi,
    /// The same at Azure: deployments in the path, the key in a header of its own.
    Azure,
    /// Anthropic's messages.
    Anthropic,
}

/// `[providers.NAME.breaker]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Calls older than this are forgotten.
    pub window: Span,
    /// Below this many calls the failures say nothing.
    pub minimum_calls: u32,
    /// The share of failures at which it opens.
    pub failure_percent: u32,
    /// How long it stays open at first.
    pub open: Span,
    /// The most that this grows to.
    pub open_max: Span,
    /// Calls let through before it closes.
    pub probes: u32,
}

mod default {
    use holdfast_config::Span;

    pub(super) fn window() -> Span {
        Span::from_secs(60)
    }
    pub(super) fn connect_timeout() -> Span {
        Span::from_secs(5)
    }
    pub(super) fn timeout() -> Span {
        Span::from_secs(300)
    }
    pub(super) fn idle_timeout() -> Span {
        Span::from_secs(60)
    }
    pub(super) fn cooldown() -> Span {
        Span::from_secs(5)
    }
    pub(super) fn quarantine() -> Span {
        Span::from_secs(600)
    }
}

impl Default for Breaker {
    fn default() -> Self {
        let defaults = holdfast_resilience::Settings::default();
        Self {
            window: Span(WINDOW),
            minimum_calls: defaults.minimum_calls,
            failure_percent: defaults.failure_percent,
            open: Span(defaults.open),
            open_max: Span(defaults.open_max),
            probes: defaults.probes,
        }
    }
}

impl Breaker {
    pub(crate) fn settings(&self) -> holdfast_resilience::Settings {
        holdfast_resilience::Settings {
            window: Window::Time(*self.window),
            minimum_calls: self.minimum_calls,
            failure_percent: self.failure_percent,
            open: *self.open,
            open_max: *self.open_max,
            probes: self.probes,
            ..holdfast_resilience::Settings::default()
        }
    }
}

impl Provider {
    pub(super) fn validate(&self, name: &str) -> Result<(), Invalid> {
        let invalid = |key: &str, why: &str| Err(Invalid::new(format!("providers.{name}.{key}"), why));
        let is_url = ["http://", "https://", "simulator:"].iter().any(|scheme| self.base_url.starts_with(scheme));
        if !is_url {
            return invalid("base_url", "must begin with https://, http:// or simulator:");
        }
        if self.kind == Kind::Azure && self.api_version.is_none() {
            return invalid("api_version", "is missing; Azure needs one, such as \"2024-10-21\"");
        }
        if self.kind == Kind::OpenAi && self.api_version.is_some() {
            return invalid("api_version", "is not known to this protocol; leave it out");
        }
        if self.keys.is_empty() {
            return invalid("keys", "is empty; write [{ name = \"main\", key = \"env:NAME\", concurrency = 20 }]");
        }
        if self.window.is_zero() {
            return invalid("window", "must be longer than nothing; a minute is \"60s\"");
        }
        let mut names = BTreeSet::new();
        for key in &self.keys {
            if let Some(problem) = key.problem() {
                return invalid("keys", &problem);
            }
            if !names.insert(&key.name) {
                return invalid("keys", &format!("there are two keys {:?}", key.name));
            }
        }
        self.breaker.settings().validate().or_else(|wrong| invalid(&format!("breaker.{}", wrong.field), wrong.why))
    }
}
