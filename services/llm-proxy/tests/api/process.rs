//! A proxy in a process of its own, and what it shows to the outside.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use holdfast_rpc::status;
use holdfast_simulator::{Limits, Running};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    harness::{Client, PATIENCE, connect, model, one_key, provider, say_within},
    slow::Slow,
};

pub struct Proxy {
    process: Child,
    address: SocketAddr,
    log: watch::Receiver<String>,
    reading: JoinHandle<()>,
    pub client: Client,
}

impl Proxy {
    pub async fn start(directory: &Path, provider: &Running, toml: &str) -> Self {
        Self::start_under(directory, provider, toml, &[]).await
    }

    /// With more in its environment.
    pub async fn start_under(directory: &Path, provider: &Running, toml: &str, more: &[(&str, &str)]) -> Self {
        let file = directory.join("holdfast.toml");
        let (data, simulator) = (directory.display(), provider.url());
        let common = format!(
            "[data]\ndir = \"{data}\"\n[mesh]\nsimulator = \"{simulator}\"\n[telemetry]\nlog = \"debug\"\n\
             [llm_proxy]\naddress = \"127.0.0.1:0\"\n"
        );
        std::fs::write(&file, common + toml).expect("the test's directory can be written");
        let mut process = Command::new(env!("CARGO_BIN_EXE_holdfast-llm-proxy"))
            .arg("--config")
            .arg(file)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .envs(more.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("it has a log")).lines();
        let address = loop {
            let line = lines.next_line().await.expect("text").expect("it listens before it ends");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "listening" {
                break line["address"].as_str().and_then(|text| text.parse().ok()).expect("it says where");
            }
        };
        let (lines_of, log) = watch::channel(String::new());
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                lines_of.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        Self { process, address, log, reading, client: connect(address) }
    }

    /// Kills it; what it had logged.
    pub async fn kill(mut self) -> String {
        self.process.kill().await.expect("it was there");
        self.reading.await.expect("its log was read");
        self.log.borrow().clone()
    }

    /// Waits for its end.
    pub async fn end(mut self) {
        self.process.wait().await.expect("it was there");
    }

    /// Waits until a line of its log has this text; the line.
    pub async fn until_logged(&mut self, text: &str) -> String {
        let logged = tokio::time::timeout(PATIENCE, self.log.wait_for(|log| log.contains(text))).await;
        let log = logged.expect("it is logged before long").expect("it is there");
        log.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
    }

    /// Sends it a signal, by its name.
    pub async fn signal(&self, name: &str) {
        let id = self.process.id().expect("it is there").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.expect("there is a kill");
        assert!(sent.success());
    }

    pub async fn say(&self, time: Duration) -> Result<(), tonic::Status> {
        say_within(&self.client, "hi", time).await.map(drop)
    }

    pub async fn metrics(&self) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let answer = reqwest::get(format!("http://{}/metrics", self.address)).await.expect("an answer");
        answer.text().await.expect("text")
    }
}

#[tokio::test]
async fn what_calls_cost_is_on_the_metrics_page() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let provider = provider(&[("simulated", Limits::default())]).await;
    let proxy = Proxy::start(directory.path(), &provider, &one_key("concurrency = 2")).await;
    proxy.say(PATIENCE).await.expect("an answer");
    let metrics = proxy.metrics().await;
    let key = provider.counts().key("simulated");
    for (direction, tokens) in [("input", key.prompt_tokens), ("output", key.completion_tokens)] {
        let line = metrics.lines().find(|line| {
            line.starts_with("holdfast_llm_tokens_total{") && line.contains(&format!("direction=\"{direction}\""))
        });
        let line = line.unwrap_or_else(|| panic!("no {direction} in {metrics}"));
        assert!(line.contains("model=\"m\"") && line.contains("tenant=\"default\""), "{line}");
        assert_eq!(line.rsplit(' ').next(), Some(tokens.to_string().as_str()));
    }
    for name in ["holdfast_llm_wait_seconds_count", "holdfast_llm_in_flight", "holdfast_llm_key_usable"] {
        assert!(metrics.contains(name), "{name} is missing");
    }
    proxy.kill().await;
}

#[tokio::test]
async fn a_key_that_is_refused_raises_an_alert_which_no_call_from_before_takes_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (slow, none) = (Slow::start().await, provider(&[]).await);
    let proxy = Proxy::start(directory.path(), &none, &slow.toml("name = \"main\"", "quarantine = \"1s\"")).await;
    let alert = async |proxy: &Proxy| {
        let metrics = proxy.metrics().await;
        let line = metrics.lines().find(|line| line.starts_with("holdfast_llm_key_quarantined{")).expect("it is told");
        assert!(line.contains("key=\"main\""), "{line}");
        line.ends_with(" 1")
    };
    let client = proxy.client.clone();
    let before = tokio::spawn(async move { say_within(&client, "hi", PATIENCE).await });
    slow.until(|counts| counts.arrived == 1).await;
    assert!(!alert(&proxy).await);
    slow.refuse(401);
    proxy.say(PATIENCE).await.expect_err("the key is revoked");
    assert!(alert(&proxy).await, "deploy/prometheus/alerts.yaml goes by it");
    slow.answer();
    before.await.expect("it ran").expect("it was taken before");
    assert!(alert(&proxy).await, "it is still refused");
    slow.refuse(0);
    let client = proxy.client.clone();
    let after = tokio::spawn(async move {
        while let Err(refused) = say_within(&client, "hi", PATIENCE).await {
            tokio::time::sleep(status::retry_after(&refused).expect("it says when to come back")).await;
        }
    });
    slow.until(|counts| counts.arrived == 2).await;
    slow.answer();
    after.await.expect("it ran");
    assert!(!alert(&proxy).await, "it is taken again");
    proxy.kill().await;
}

#[tokio::test]
async fn a_key_and_a_prompt_are_never_logged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let key = directory.path().join("key");
    std::fs::write(&key, "canary-key").expect("the test's directory can be written");
    let provider = provider(&[]).await;
    let toml = model(&format!("{{ name = \"main\", key = \"file:{}\" }}", key.display()), "");
    let proxy = Proxy::start(directory.path(), &provider, &toml).await;
    let refused = say_within(&proxy.client, "canary-prompt", PATIENCE).await.expect_err("the key is not known");
    assert_eq!(provider.counts().strangers, 1);
    let metrics = proxy.metrics().await;
    let log = proxy.kill().await;
    assert!(log.contains("look after it"), "the operator is told: {log}");
    for shown in [log, metrics, format!("{refused:?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
}
