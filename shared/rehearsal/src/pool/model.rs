//! A model, as agents ask it: by OpenAI's protocol, at whatever URL they have. By that the sides differ here, and by whether
//! agents come back when they are told to, where a scenario says so.

use std::time::Duration;

use holdfast_sdk::Failure;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::scenario::{Agent, Scenario, Way, Which};
use crate::stage::Place;
use crate::web;

/// A client of a model.
#[derive(Debug)]
pub(super) struct Model {
    client: reqwest::Client,
    url: String,
    /// What is shown, by the number of the tenant in whose name it is asked.
    keys: Vec<String>,
    question: Value,
    retries: u32,
    /// Whether it comes back when it is told to.
    heeds: bool,
}

/// What the model's side said, and when it is to be asked again.
type Said = (Result<StatusCode, reqwest::Error>, Option<Duration>);

impl Model {
    pub(super) fn new(scenario: &Scenario, which: Which, place: &Place) -> Self {
        let agent = &scenario.agent;
        let (base, keys) = match scenario.manner(which).model {
            Way::Provider => (&place.simulator, vec![agent.model_key.clone(); scenario.callers()]),
            Way::Mesh => (&place.gateway, scenario.shown(which, &place.key)),
        };
        Self {
            client: web::client(),
            url: format!("{}/v1/chat/completions", base.trim_end_matches('/')),
            keys,
            question: question(agent),
            retries: agent.model_retries,
            heeds: scenario.manner(which).heeds_retry_after,
        }
    }

    /// Asks, and asks again when it is refused; then the attempt fails. It comes back when it is told to, as the providers' own
    /// clients do, or else at once, as often as it may.
    pub(super) async fn ask(&self, tenant: usize) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            match self.asked(tenant).await {
                (Ok(status), _) if status.is_success() => return Ok(()),
                (_, Some(hint)) if self.heeds => sleep(hint).await,
                (said, _) if tries == self.retries => return Err(failure(&said)),
                _ => tries += 1,
            }
        }
    }

    async fn asked(&self, tenant: usize) -> Said {
        match self.answer(tenant).await {
            Ok((status, hint)) => (Ok(status), hint),
            Err(error) => (Err(error), None),
        }
    }

    async fn answer(&self, tenant: usize) -> Result<(StatusCode, Option<Duration>), reqwest::Error> {
        let mut request = self.client.post(&self.url).json(&self.question);
        if let Some(key) = self.keys.get(tenant).filter(|key| !key.is_empty()) {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await?;
        let (status, hint) = (answer.status(), hint(answer.headers()));
        answer.bytes().await?;
        Ok((status, hint))
    }
}

/// When to come back, as the providers' own clients read it.
fn hint(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|millis| millis / 1e3).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The words do not matter to a simulated model; how many they are does.
fn question(agent: &Agent) -> Value {
    json!({
        "model": agent.model,
        "messages": [{ "role": "user", "content": "What does this account need?" }],
        "metadata": { "input_tokens": agent.tokens_input.to_string(), "output_tokens": agent.tokens_output.to_string() },
    })
}

fn failure(said: &Result<StatusCode, reqwest::Error>) -> Failure {
    match said {
        Ok(StatusCode::TOO_MANY_REQUESTS) => Failure::retryable("MODEL_LIMITED", "the model's side refused with 429"),
        Ok(status) => Failure::retryable("MODEL_FAILED", format!("the model's side answered {status}")),
        Err(error) => Failure::retryable("MODEL_UNREACHABLE", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_in_milliseconds_goes_before_one_in_seconds() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
        };
        let both = headers(&[("retry-after", "2"), ("retry-after-ms", "150")]);
        assert_eq!(hint(&both), Some(Duration::from_millis(150)));
        assert_eq!(hint(&headers(&[("retry-after", "2")])), Some(Duration::from_secs(2)));
        assert_eq!(hint(&headers(&[("retry-after", "soon")])), None);
    }
}
