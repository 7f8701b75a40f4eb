//! What one API key may do, and a request that may not.

use std::{collections::BTreeMap, time::Duration};

use holdfast_config::Span;
use serde::{Deserialize, Serialize};

use crate::config::write_span;

/// What one API key may do, over all models and with single ones.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in any window.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any window: those of a prompt when it arrives, those of an answer as they are written.
    pub tokens_per_minute: Option<u64>,
    /// Tokens read in any window.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens written in any window: a request that arrives when so many were written is refused.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u32>,
    /// What counts as a minute; shorter where a rehearsal compresses time.
    #[serde(serialize_with = "write_span")]
    pub window: Span,
    /// What it may do with single models, by their names, beside all of that.
    pub models: BTreeMap<String, ModelLimits>,
}

/// What a key may do with one model.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelLimits {
    /// Requests in any window.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any window, read and written together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens read in any window.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens written in any window.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests at once.
    pub concurrency: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: None,
            tokens_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            concurrency: None,
            window: Span::from_secs(60),
            models: BTreeMap::new(),
        }
    }
}

impl Limits {
    /// Those over all models.
    pub(crate) fn own(&self) -> ModelLimits {
        ModelLimits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            input_tokens_per_minute: self.input_tokens_per_minute,
            output_tokens_per_minute: self.output_tokens_per_minute,
            concurrency: self.concurrency,
        }
    }
}

/// What is counted in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Requests,
    Tokens,
    Input,
    Output,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Requests, Self::Tokens, Self::Input, Self::Output];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Input => "input_tokens",
            Self::Output => "output_tokens",
        }
    }
}

impl ModelLimits {
    pub(crate) fn of(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::Requests => self.requests_per_minute.map(u64::from),
            Kind::Tokens => self.tokens_per_minute,
            Kind::Input => self.input_tokens_per_minute,
            Kind::Output => self.output_tokens_per_minute,
        }
    }
}

/// Which limit a request ran into, and how long until it may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) limit: &'static str,
    pub(crate) retry_after: Duration,
}
