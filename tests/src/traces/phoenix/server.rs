//! A Phoenix of our own, on free ports and a directory that goes with it.

use std::path::PathBuf;
use std::time::Duration;

use holdfast_testkit::{Process, free_ports};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::Shown;

/// It loads half of PyPI before it answers.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// What was sent is shown within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

pub(super) struct Phoenix {
    http: u16,
    grpc: u16,
    client: reqwest::Client,
    _process: Process,
    _directory: TempDir,
}

impl Phoenix {
    /// Starts the one that `tests/phoenix/prepare` has installed.
    pub(super) async fn start() -> Option<Self> {
        let installed: PathBuf = std::env::var_os("HOLDFAST_TEST_PHOENIX")?.into();
        let directory = tempfile::tempdir().expect("the system's temporary directory can be written");
        let http = free_ports(2);
        let mut command = Command::new(installed.join("bin/phoenix"));
        command.arg("serve").env("PHOENIX_WORKING_DIR", directory.path()).env("PHOENIX_HOST", "127.0.0.1");
        command.env("PHOENIX_PORT", http.to_string()).env("PHOENIX_GRPC_PORT", (http + 1).to_string());
        // It would tell its makers how it is used.
        command.env("PHOENIX_TELEMETRY_ENABLED", "false").env("PHOENIX_ALLOW_EXTERNAL_RESOURCES", "false");
        let mut process = Process::start("phoenix", command, directory.path());
        // One cryptography for the process; who was first is as good as we are.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Certificates are for what is elsewhere: it is here.
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().expect("a plain client");
        let until = Instant::now() + READY_WITHIN;
        while client.get(format!("http://127.0.0.1:{http}/healthz")).send().await.is_err() {
            assert!(process.ended().is_none() && Instant::now() < until, "Phoenix does not come up: {}", process.log());
            sleep(LOOK).await;
        }
        Some(Self { http, grpc: http + 1, client, _process: process, _directory: directory })
    }

    /// The value for `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    pub(super) fn collector(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// The spans of the trace that an invocation's attempt is in, once there are no more of them from one look to the next.
    pub(super) async fn spans_of(&self, invocation: &str) -> Vec<Shown> {
        let (until, mut before) = (Instant::now() + SHOWN_WITHIN, 0);
        loop {
            let spans = self.spans().await;
            let is_its = |span: &&Shown| {
                span.name.starts_with("invoke_agent ") && span.attributes["invocation_id"] == *invocation
            };
            if let Some(trace) = spans.iter().find(is_its).map(|span| span.context.trace_id.clone()) {
                let its: Vec<_> = spans.into_iter().filter(|span| span.context.trace_id == trace).collect();
                if its.len() == before {
                    return its;
                }
                before = its.len();
            }
            assert!(Instant::now() < until, "Phoenix does not show the invocation");
            sleep(LOOK).await;
        }
    }

    async fn spans(&self) -> Vec<Shown> {
        let url = format!("http://127.0.0.1:{}/v1/projects/default/spans?limit=1000", self.http);
        let answer = self.client.get(url).send().await.expect("Phoenix answers");
        // There is no project before its first span.
        if !answer.status().is_success() {
            return Vec::new();
        }
        let mut page: Value = serde_json::from_slice(&answer.bytes().await.expect("Phoenix answers")).expect("JSON");
        serde_json::from_value(page["data"].take()).expect("spans as its API describes them")
    }
}
