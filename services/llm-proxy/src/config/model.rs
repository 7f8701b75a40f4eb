use std::collections::BTreeMap;

use holdfast_config::{Invalid, Span};
use holdfast_telemetry::redaction::Redaction;
use serde::Deserialize;

use super::Provider;

/// `[models.NAME]`: what answers under this name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Where it runs, in the order of preference; those with a weight stand in an order that is drawn anew for each call.
    pub deployments: Vec<Deployment>,
    /// Most tokens to write, where the caller does not say.
    #[serde(default)]
    pub max_output_tokens: Option<u32>,
    /// A call that would wait longer than this goes on to the next deployment; absent, it waits as long as it may.
    #[serde(default)]
    pub fallback_after: Option<Span>,
    /// What is answered when no deployment can be had; without it, callers are told that the model is unavailable.
    #[serde(default)]
    pub fallback: Option<Fallback>,
    /// Whether prompts and answers stand in traces.
    #[serde(default)]
    pub trace_content: bool,
    /// What is left out of them there: JSON pointers, or names of fields wherever they are.
    #[serde(default)]
    pub redact: Vec<String>,
}

/// One place where a model runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// A provider by its name.
    pub provider: String,
    /// The model as the provider calls it.
    pub model: String,
    /// Its share of the calls, among the deployments that have one.
    #[serde(default)]
    pub weight: Option<u32>,
    /// The tokens that its context holds, read and written; a call that surely has more goes on to the next deployment.
    #[serde(default)]
    pub context_tokens: Option<u64>,
    /// How its tokens are counted before the provider says it; absent, by the model's name where that is known.
    #[serde(default)]
    pub tokenizer: Option<Tokenizer>,
}

/// How tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// OpenAI's for GPT-4o and newer.
    O200kBase,
    /// OpenAI's for GPT-4 and GPT-3.5.
    Cl100kBase,
    /// By the bytes, at a ratio that is learned from what the provider counts.
    Learned,
}

/// The last fallback of a model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The text that stands in for an answer.
    pub answer: String,
}

impl Model {
    pub(super) fn validate(&self, name: &str, providers: &BTreeMap<String, Provider>) -> Result<(), Invalid> {
        let invalid = |key: &str, why: String| Err(Invalid::new(format!("models.{name}.{key}"), why));
        if self.deployments.is_empty() {
            return invalid("deployments", "is empty; write [{ provider = \"…\", model = \"…\" }]".into());
        }
        for deployment in &self.deployments {
            if !providers.contains_key(&deployment.provider) {
                let why = format!("there is no provider {:?}; add [providers.{0}]", deployment.provider);
                return invalid("deployments", why);
            }
            if deployment.weight == Some(0) || deployment.context_tokens == Some(0) {
                return invalid("deployments", "a weight and context_tokens must each be 1 at least".into());
            }
        }
        if self.max_output_tokens == Some(0) {
            return invalid("max_output_tokens", "must be 1 at least".into());
        }
        self.traced().map(drop).or_else(|why| invalid("redact", why))
    }

    /// What of prompts and answers may stand in traces, where any of it may; an error says what is wrong with a rule.
    pub(crate) fn traced(&self) -> Result<Option<Redaction>, String> {
        let redaction = Redaction::of(&self.redact)?;
        Ok(self.trace_content.then_some(redaction))
    }
}
