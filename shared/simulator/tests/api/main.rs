//! The simulator over HTTP, as the mesh meets it.

mod admin;
mod anthropic;
mod limits;
mod provider;
mod tools;

use holdfast_simulator::{Config, Running, Simulator};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// A simulator with clients for it.
struct World {
    simulator: Running,
    http: Client,
}

impl World {
    async fn start(config: Config) -> Self {
        let simulator = Simulator::start(&config).await.expect("a free port");
        // A process has one; another test of it may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { simulator, http: Client::new() }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.simulator.url() + path)
    }

    fn chat(&self, key: &str, body: &Value) -> RequestBuilder {
        self.post("/v1/chat/completions").bearer_auth(key).json(body)
    }

    async fn ask(&self, text: &str) -> Response {
        self.chat("simulated", &said(text)).send().await.expect("an answer")
    }
}

fn said(text: &str) -> Value {
    json!({"model": "simulated-model", "messages": [{"role": "user", "content": text}]})
}
