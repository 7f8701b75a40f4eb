//! A model, as agents ask it: by OpenAI's protocol, at whatever URL they have. That is all by which the sides differ here.

use holdfast_sdk::Failure;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::scenario::{Agent, Scenario, Way, Which};
use crate::stage::Place;

/// A client of a model.
#[derive(Debug)]
pub(super) struct Model {
    client: reqwest::Client,
    url: String,
    key: String,
    question: Value,
    retries: u32,
}

impl Model {
    pub(super) fn new(scenario: &Scenario, which: Which, place: &Place) -> Self {
        let agent = &scenario.agent;
        let (base, key) = match scenario.manner(which).model {
            Way::Provider => (&place.simulator, &agent.model_key),
            Way::Mesh => (&place.gateway, &place.key),
        };
        Self {
            client: reqwest::Client::new(),
            url: format!("{}/v1/chat/completions", base.trim_end_matches('/')),
            key: key.clone(),
            question: question(agent),
            retries: agent.model_retries,
        }
    }

    /// Asks, and asks again at once when it is refused, as clients do; then the attempt fails.
    pub(super) async fn ask(&self) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            let said = self.asked().await;
            match said {
                Ok(status) if status.is_success() => return Ok(()),
                said if tries == self.retries => return Err(failure(&said)),
                _ => tries += 1,
            }
        }
    }

    async fn asked(&self) -> Result<StatusCode, reqwest::Error> {
        let mut request = self.client.post(&self.url).json(&self.question);
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        let answer = request.send().await?;
        let status = answer.status();
        answer.bytes().await?;
        Ok(status)
    }
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
