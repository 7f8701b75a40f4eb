use std::collections::BTreeMap;

use holdfast_config::{Invalid, Size, Span};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    faults::Faults,
    provider::{limits::Limits, rules::Rule, script::Script},
};

/// `[simulator]`: what is simulated, and how well it behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub address: String,
    /// The models that exist; none means that every name does.
    pub models: Vec<String>,
    /// The API keys that are known, by the text that a caller shows, with the limits of each.
    pub keys: BTreeMap<String, Limits>,
    /// How many tokens a conversation may have.
    pub context_tokens: u64,
    /// The largest request body.
    pub request_bytes_max: Size,
    /// How the provider misbehaves, whatever key is used.
    pub faults: Faults,
    /// Rules that come before the built-in ones.
    pub rules: Vec<Rule>,
    /// Scripts by their id.
    pub scripts: BTreeMap<String, Script>,
    /// Tools beside the built-in ones, and faults for any of them.
    pub tools: BTreeMap<String, Tool>,
    /// How many calls of each key are remembered with their times; older ones are forgotten.
    pub calls_max: usize,
    /// How many effects are remembered for each tool; older ones are forgotten.
    pub effects_max: usize,
    /// Where the dice start: the same seed throws the same faults.
    pub seed: u64,
}

/// `[simulator.tools.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tool {
    /// What it answers, with templates such as `{{arguments.city}}`; absent, a built-in tool answers as built in and
    /// another one answers its arguments.
    pub answer: Option<Value>,
    /// How it misbehaves.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits { requests_per_minute: Some(6_000), concurrency: Some(20), ..Limits::default() };
        Self {
            address: "127.0.0.1:7076".into(),
            models: vec!["simulated-model".into()],
            keys: BTreeMap::from([("simulated".into(), limits)]),
            context_tokens: 128_000,
            request_bytes_max: Size::from_mib(32),
            faults: Faults::default(),
            rules: Vec::new(),
            scripts: BTreeMap::new(),
            tools: BTreeMap::new(),
            calls_max: 100_000,
            effects_max: 1_000_000,
            seed: 0,
        }
    }
}

impl Config {
    /// Checks what one key alone cannot show.
    ///
    /// # Errors
    /// The first setting that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        let checked = |key: String, faults: &Faults| faults.check().map_err(|why| Invalid::new(key, why));
        checked("simulator.faults".into(), &self.faults)?;
        for (name, tool) in &self.tools {
            checked(format!("simulator.tools.{name}.faults"), &tool.faults)?;
        }
        for (name, limits) in &self.keys {
            if limits.window.is_zero() {
                let key = format!("simulator.keys.{name}.window");
                return Err(Invalid::new(key, "must be longer than nothing; a minute is \"60s\""));
            }
        }
        if self.effects_max == 0 {
            return Err(Invalid::new("simulator.effects_max", "must be at least 1"));
        }
        Ok(())
    }
}

/// Spans as they stand in JSON answers and requests of the admin endpoint.
pub(crate) fn write_span<S: serde::Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(span)
}

/// The same where there may be none.
pub(crate) fn write_span_or_none<S: serde::Serializer>(span: &Option<Span>, serializer: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => serializer.serialize_some(&span.to_string()),
        None => serializer.serialize_none(),
    }
}
