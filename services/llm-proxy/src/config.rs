use std::collections::BTreeMap;

use holdfast_config::{ConfigError, Document, Invalid, Secret, Size, Span};
use holdfast_resilience::breaker::{WINDOW, Window};
use holdfast_rpc::service;
use serde::Deserialize;

/// What this service reads: `[llm_proxy]`, `[providers.NAME]` and `[models.NAME]`.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[llm_proxy]`
    pub llm_proxy: Settings,
    /// `[providers.NAME]`
    pub providers: BTreeMap<String, Provider>,
    /// `[models.NAME]`
    pub models: BTreeMap<String, Model>,
}

/// `[llm_proxy]`: the service itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    pub address: String,
    /// The most calls that may wait in front of one provider.
    pub waiting_calls_max: usize,
    /// The most bytes that the requests of those calls may have.
    pub waiting_bytes_max: Size,
    /// How long a call waits that names no deadline.
    pub wait_max: Span,
    /// The largest request.
    pub request_bytes_max: Size,
    /// The largest answer.
    pub answer_bytes_max: Size,
}

/// `[providers.NAME]`: who answers, and what they allow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The protocol that it speaks.
    pub kind: Kind,
    /// Its address, up to and including `/v1`; `simulator:/v1` is the mesh's simulator.
    pub base_url: String,
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
}

/// The protocol that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenAI's chat completions, and whatever is compatible with them.
    #[serde(rename = "openai")]
    OpenAi,
}

/// An API key with what the provider allows it. An absent limit is none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name in logs and metrics; the key itself is never shown.
    pub name: String,
    /// The key. Absent, none is sent; the simulator is shown the name.
    #[serde(default)]
    pub key: Option<Secret>,
    /// Requests in any minute.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// Tokens in any minute, read and written together.
    #[serde(default)]
    pub tokens_per_minute: Option<u64>,
    /// Requests at once.
    #[serde(default)]
    pub concurrency: Option<u32>,
}

/// `[providers.NAME.breaker]`
#[derive(Debug, Clone, Deserialize)]
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

/// `[models.NAME]`: what answers under this name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Where it runs, in the order of preference.
    pub deployments: Vec<Deployment>,
    /// Most tokens to write, where the caller does not say.
    #[serde(default)]
    pub max_output_tokens: Option<u32>,
    /// What is answered when no deployment can be had; without it, callers are told that the model is unavailable.
    #[serde(default)]
    pub fallback: Option<Fallback>,
}

/// One place where a model runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// A provider by its name.
    pub provider: String,
    /// The model as the provider calls it.
    pub model: String,
}

/// The last fallback of a model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The text that stands in for an answer.
    pub answer: String,
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7074".into(),
            waiting_calls_max: 10_000,
            waiting_bytes_max: Size::from_mib(256),
            wait_max: Span::from_secs(600),
            request_bytes_max: Size::from_mib(16),
            answer_bytes_max: Size::from_mib(16),
        }
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

impl service::Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let config = Self {
            llm_proxy: document.section("llm_proxy")?,
            providers: document.section("providers")?,
            models: document.section("models")?,
        };
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.llm_proxy.address
    }
}

impl Config {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (name, provider) in &self.providers {
            provider.validate(name)?;
        }
        for (name, model) in &self.models {
            if model.deployments.is_empty() {
                let key = format!("models.{name}.deployments");
                return Err(Invalid::new(key, "is empty; write [{ provider = \"…\", model = \"…\" }]"));
            }
            for deployment in &model.deployments {
                if !self.providers.contains_key(&deployment.provider) {
                    let why = format!("there is no provider {:?}; add [providers.{0}]", deployment.provider);
                    return Err(Invalid::new(format!("models.{name}.deployments"), why));
                }
            }
        }
        Ok(())
    }
}

impl Provider {
    fn validate(&self, name: &str) -> Result<(), Invalid> {
        let invalid = |key: &str, why: &str| Err(Invalid::new(format!("providers.{name}.{key}"), why));
        let is_url = ["http://", "https://", "simulator:"].iter().any(|scheme| self.base_url.starts_with(scheme));
        if !is_url {
            return invalid("base_url", "must begin with https://, http:// or simulator:");
        }
        if self.keys.is_empty() {
            return invalid("keys", "is empty; write [{ name = \"main\", key = \"env:NAME\", concurrency = 20 }]");
        }
        if self.window.is_zero() {
            return invalid("window", "must be longer than nothing; a minute is \"60s\"");
        }
        let mut names = std::collections::BTreeSet::new();
        for key in &self.keys {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if key.name.is_empty() || !key.name.chars().all(plain) {
                return invalid("keys", "a key's name has letters, digits, - and _ only");
            }
            if !names.insert(&key.name) {
                return invalid("keys", &format!("there are two keys {:?}", key.name));
            }
            if key.requests_per_minute == Some(0) || key.tokens_per_minute == Some(0) || key.concurrency == Some(0) {
                return invalid("keys", "a limit of 0 lets nothing through; leave it out for no limit");
            }
        }
        self.breaker.settings().validate().or_else(|wrong| invalid(&format!("breaker.{}", wrong.field), wrong.why))
    }
}
