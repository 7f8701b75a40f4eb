//! Who may come, in whose name, and what never leaves.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use holdfast_simulator::{Faults, Limits, Of};
use serde_json::json;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::fmt::{self, MakeWriter, format::FmtSpan};

use super::client::{Told, asked, told};
use crate::harness::{Harness, model, provider};

const CALLER: &str = "caller-key-0123456789";
const WORKER: &str = "worker-key-0123456789";
/// The provider's own.
const CANARY: &str = "sk-canary-4711";

/// A provider that knows one key, and one key of ours for each role.
fn keyed(dir: &Path) -> String {
    let written = |name: &str| {
        let path = dir.join(name);
        std::fs::write(&path, name).expect("it is written");
        path.display().to_string()
    };
    let entry = |key: &str, role: &str| {
        format!(
            "[[gateway.keys]]\nname = \"{role}\"\nkey = \"file:{}\"\ntenant = \"acme\"\nrole = \"{role}\"\n",
            written(key)
        )
    };
    let provider = model(&format!("{{ name = \"simulated\", key = \"file:{}\" }}", written(CANARY)), "");
    entry(CALLER, "caller") + &entry(WORKER, "worker") + &provider
}

async fn harness() -> Harness {
    let dir = tempfile::tempdir().expect("a temporary directory");
    Harness::start(keyed(dir.path()), provider(&[(CANARY, Limits::default())]).await).await
}

#[tokio::test]
async fn a_stranger_is_told_to_show_a_key_and_reaches_nothing() {
    let harness = harness().await;
    for shown in [None, Some("Bearer wrong-key-0123456789"), Some(WORKER), Some("Bearer sk-canary-4711")] {
        for request in [harness.post(&asked("hi", json!({}))), harness.get("/v1/models"), harness.get("/v1/nothing")] {
            let request = shown.into_iter().fold(request, |request, shown| request.header("authorization", shown));
            let refused = told(request).await;
            assert_eq!(refused.error(), (401, json!(["invalid_request_error", null, "invalid_api_key"])), "{shown:?}");
        }
    }
    assert_eq!(harness.provider.counts().key(CANARY).requests, 0);
}

#[tokio::test]
async fn each_role_may_what_it_may_everywhere() {
    let harness = harness().await;
    for (key, status) in [(CALLER, 403), (WORKER, 200)] {
        assert_eq!(told(harness.get("/v1/models").bearer_auth(key)).await.status, 200);
        let answer = told(harness.post(&asked("hi", json!({}))).bearer_auth(key)).await;
        assert_eq!(answer.status, status, "{key}");
    }
    let refused = told(harness.post(&asked("hi", json!({}))).bearer_auth(CALLER)).await;
    assert_eq!(refused.error(), (403, json!(["invalid_request_error", null, "permission_denied"])));
}

#[tokio::test]
async fn a_page_in_a_browser_gets_nothing() {
    let harness = Harness::plain().await;
    let no = (403, json!(["invalid_request_error", null, "permission_denied"]));
    for (name, value) in [("host", "evil.test"), ("origin", "https://evil.test"), ("origin", "http://localhost:7074")] {
        assert_eq!(told(harness.post(&asked("hi", json!({}))).header(name, value)).await.error(), no, "{name} {value}");
    }
    let answer = harness.chat("hi", json!({})).await;
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{answer:?}");
    let toml = "[llm_proxy]\nhosts = [\"llm.test\"]\n".to_owned() + &crate::harness::one_key("concurrency = 2");
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    assert_eq!(told(harness.get("/v1/models").header("host", "llm.test")).await.status, 200);
}

/// Everything that is said: each line of the log, and each span with its fields when it ends.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Listens from now on, to the services that are started by this thread too.
    pub(super) fn listen() -> (Self, DefaultGuard) {
        let said = Self::default();
        let lines = fmt::fmt().with_max_level(tracing::Level::TRACE).with_span_events(FmtSpan::CLOSE).with_ansi(false);
        let guard = set_default(lines.with_writer(said.clone()).finish());
        (said, guard)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Said {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_providers_key_is_in_no_answer_header_error_or_log() {
    let (said, _listening) = Said::listen();
    let harness = harness().await;
    let call = async |more| told(harness.post(&asked("hi", more)).bearer_auth(WORKER)).await;
    let mut answers: Vec<Told> = vec![told(harness.get("/v1/models").bearer_auth(WORKER)).await];
    for stream in [false, true] {
        harness.provider.set_faults(Of::Provider, Faults::default());
        answers.push(call(json!({"stream": stream})).await);
        answers.push(call(json!({"stream": stream, "model": "m2"})).await);
        for error_status in [400, 404, 500] {
            let faults = Faults { error_rate: 1.0, error_status, ..Faults::default() };
            harness.provider.set_faults(Of::Provider, faults);
            answers.push(call(json!({"stream": stream})).await);
        }
        let faults = Faults { disconnect_rate: 1.0, disconnect_after: 3, ..Faults::default() };
        harness.provider.set_faults(Of::Provider, faults);
        answers.push(call(json!({"stream": stream})).await);
    }
    harness.provider.set_faults(Of::Provider, Faults::default());
    harness.provider.revoke_key(CANARY);
    answers.push(call(json!({})).await);
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!([200, 400, 404, 503].iter().all(|status| statuses.contains(status)), "{statuses:?}");
    for answer in &answers {
        assert!(!format!("{answer:?}").contains(CANARY), "{answer:?}");
        let own = answer.headers.keys().filter(|name| name.as_str().starts_with("holdfast-"));
        for name in own {
            let told = ["holdfast-deployment", "holdfast-waited-ms", "holdfast-degraded"];
            assert!(told.contains(&name.as_str()), "{name} is nobody's affair");
        }
    }
    let said = said.text();
    // The simulator in this process is no part of ours, and what it logs of its keys is its own affair.
    let ours = said.lines().filter(|line| !line.contains("holdfast_simulator"));
    let told: Vec<_> = ours.filter(|line| line.contains(CANARY) || line.contains(WORKER)).collect();
    assert!(said.contains("holdfast_llm_proxy") && told.is_empty(), "{told:#?}");
}
