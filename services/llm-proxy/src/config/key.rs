use std::collections::BTreeMap;

use holdfast_config::Secret;
use serde::Deserialize;

/// An API key with what the provider allows it. An absent limit is none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    /// Tokens read in any minute.
    #[serde(default)]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens written in any minute.
    #[serde(default)]
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// Requests in any 24 hours.
    #[serde(default)]
    pub requests_per_day: Option<u64>,
    /// Tokens in any 24 hours, read and written together.
    #[serde(default)]
    pub tokens_per_day: Option<u64>,
    /// Limits for single upstream models, beside those of the key.
    #[serde(default)]
    pub models: BTreeMap<String, ModelLimits>,
}

/// What a provider allows a key for one upstream model. An absent limit is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelLimits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any minute, read and written together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens read in any minute.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens written in any minute.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u32>,
    /// Requests in any 24 hours.
    pub requests_per_day: Option<u64>,
    /// Tokens in any 24 hours, read and written together.
    pub tokens_per_day: Option<u64>,
}

impl Key {
    /// What is allowed over all models.
    pub(crate) fn limits(&self) -> ModelLimits {
        ModelLimits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            input_tokens_per_minute: self.input_tokens_per_minute,
            output_tokens_per_minute: self.output_tokens_per_minute,
            concurrency: self.concurrency,
            requests_per_day: self.requests_per_day,
            tokens_per_day: self.tokens_per_day,
        }
    }

    /// What does not hold, in a sentence.
    pub(super) fn problem(&self) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Some("a key's name has letters, digits, - and _ only".into());
        }
        let zero = self.limits().has_zero() || self.models.values().any(ModelLimits::has_zero);
        zero.then(|| "a limit of 0 lets nothing through; leave it out for no limit".into())
    }
}

impl ModelLimits {
    fn has_zero(&self) -> bool {
        let minutes = [self.tokens_per_minute, self.input_tokens_per_minute, self.output_tokens_per_minute];
        self.requests_per_minute == Some(0)
            || self.concurrency == Some(0)
            || minutes.contains(&Some(0))
            || [self.requests_per_day, self.tokens_per_day].contains(&Some(0))
    }
}
