//! The simulated ends, as they saw it. Nobody has to believe the mesh about itself.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::ops::Sub;
use std::time::Duration;

use holdfast_simulator::{Counts, ModelCall};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::web;

/// A look that takes longer is given up: another follows.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The simulator.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    client: reqwest::Client,
    url: String,
}

/// What it counted, all keys and all tools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Model calls that came.
    pub(crate) model_calls: u64,
    /// Those that were answered.
    pub(crate) model_answered: u64,
    /// Those that were refused with 429.
    pub(crate) refused: u64,
    /// Tokens read.
    pub(crate) tokens_input: u64,
    /// Tokens written.
    pub(crate) tokens_output: u64,
    /// Tool calls that came.
    pub(crate) tool_calls: u64,
    /// Those that a fault let hang.
    pub(crate) hung: u64,
}

impl Ends {
    pub(crate) fn at(url: &str) -> Self {
        Self { client: web::client(), url: url.trim_end_matches('/').to_owned() }
    }

    /// What was counted so far.
    pub(crate) async fn tally(&self) -> Result<Tally, Error> {
        Ok(Tally::of(&self.counts().await?))
    }

    /// The keys that its provider knows: no rehearsal is played against a model that is not simulated.
    pub(crate) async fn keys(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.counts().await?.keys.into_keys().collect())
    }

    /// Whether a model call with this mark came, whatever its key.
    pub(crate) async fn saw(&self, mark: &str) -> Result<bool, Error> {
        for key in self.keys().await? {
            let calls: Vec<ModelCall> = self.told(&format!("keys/{key}/calls")).await?;
            if calls.iter().any(|call| call.mark == mark) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How the provider misbehaves by itself.
    pub(crate) async fn faults(&self) -> Result<Value, Error> {
        let answer = self.client.get(format!("{}/admin/faults", self.url)).timeout(ANSWER_WITHIN).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|error| self.silent(&error))?;
        answer.json().await.map_err(|error| self.silent(&error))
    }

    /// Turns a knob.
    pub(crate) async fn set(&self, knob: &str, to: &Value) -> Result<(), Error> {
        let asked = self.client.put(format!("{}/admin/{knob}", self.url)).timeout(ANSWER_WITHIN).json(to).send().await;
        asked.and_then(reqwest::Response::error_for_status).map(drop).map_err(|error| self.silent(&error))
    }

    fn silent(&self, error: &reqwest::Error) -> Error {
        Error::Mesh(format!("the simulator at {} does not do what it is told: {error}", self.url))
    }

    async fn counts(&self) -> Result<Counts, Error> {
        self.told("counts").await
    }

    async fn told<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        let missing = |error: reqwest::Error| {
            let why = error.source().map_or_else(|| error.to_string(), innermost);
            Error::Mesh(format!("the simulator at {} does not tell what it counted ({why})", self.url))
        };
        let answer = self.client.get(format!("{}/admin/{what}", self.url)).timeout(ANSWER_WITHIN).send().await;
        answer.and_then(reqwest::Response::error_for_status).map_err(missing)?.json().await.map_err(missing)
    }
}

/// The cause of an error that has one: what is around it only says where it was met.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

impl Tally {
    /// Whether something was counted less often than before: then it is not the same that counts.
    pub(crate) const fn is_less_than(&self, before: &Self) -> bool {
        self.model_calls < before.model_calls
            || self.model_answered < before.model_answered
            || self.refused < before.refused
            || self.tokens_input < before.tokens_input
            || self.tokens_output < before.tokens_output
            || self.tool_calls < before.tool_calls
            || self.hung < before.hung
    }

    fn of(counts: &Counts) -> Self {
        let mut tally = Self::default();
        for key in counts.keys.values() {
            tally.model_calls += key.requests;
            tally.model_answered += key.answered;
            tally.refused += key.refused;
            tally.tokens_input += key.prompt_tokens;
            tally.tokens_output += key.completion_tokens;
        }
        for tool in counts.tools.values() {
            tally.tool_calls += tool.calls;
            tally.hung += tool.hung;
        }
        tally
    }
}

impl Sub for Tally {
    type Output = Self;

    /// What came since.
    fn sub(self, before: Self) -> Self {
        let since = u64::saturating_sub;
        Self {
            model_calls: since(self.model_calls, before.model_calls),
            model_answered: since(self.model_answered, before.model_answered),
            refused: since(self.refused, before.refused),
            tokens_input: since(self.tokens_input, before.tokens_input),
            tokens_output: since(self.tokens_output, before.tokens_output),
            tool_calls: since(self.tool_calls, before.tool_calls),
            hung: since(self.hung, before.hung),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_fall_are_those_of_another_simulator() {
        let (before, more) = (Tally { tool_calls: 3, ..Tally::default() }, Tally { tool_calls: 4, ..Tally::default() });
        assert!(!more.is_less_than(&before) && !before.is_less_than(&before));
        assert!(before.is_less_than(&more) && Tally { hung: 9, ..Tally::default() }.is_less_than(&before));
    }
}
