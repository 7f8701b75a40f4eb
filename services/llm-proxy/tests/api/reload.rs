//! A configuration that changes while calls go on.

use std::path::PathBuf;

use holdfast_config::{Common, Document};
use holdfast_llm_proxy::Config;
use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::service::{Host, Settings as _};
use holdfast_simulator::{Faults, Limits, Of, Running};

use crate::{
    harness::{Client, PATIENCE, connect, model, provider, said, say_within},
    process::Proxy,
};

/// A proxy in this process on a configuration of its own.
struct Reloaded {
    provider: Running,
    client: Client,
    file: PathBuf,
    /// What it tells of its keys, by and by.
    news: tonic::Streaming<pb::WatchCapacityResponse>,
    _directory: tempfile::TempDir,
}

impl Reloaded {
    async fn start(keys: &str) -> Self {
        let provider = provider(&[("a", Limits::default()), ("b", Limits::default())]).await;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("holdfast.toml");
        std::fs::write(&file, model(keys, "")).expect("it is written");
        let mut common = Common::default();
        common.data.dir = directory.path().to_owned();
        common.mesh.simulator = provider.url();
        let config = Config::from_document(&Document::load(&file).expect("it is TOML")).expect("it holds");
        let host = Host::bind("llm-proxy", "127.0.0.1:0", &common).await.expect("a free port");
        let client = connect(host.address());
        tokio::spawn(holdfast_llm_proxy::serve(common, config, host));
        let interval = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
        let request = pb::WatchCapacityRequest { model: String::new(), interval };
        let news = client.clone().watch_capacity(request).await.expect("a stream").into_inner();
        Self { provider, client, file, news, _directory: directory }
    }

    fn write(&self, keys: &str) {
        std::fs::write(&self.file, model(keys, "")).expect("it is written");
    }

    /// Waits until the keys are as wanted: each with its name and the calls that it may have at once.
    async fn until(&mut self, wanted: &[(&str, u64)]) {
        let reached = async {
            loop {
                let told = self.news.message().await.expect("it goes on").expect("it has no end");
                let keys = &told.providers[0].keys;
                let keys: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.limits[0].limit)).collect();
                if keys == wanted {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the file is looked at");
    }

    /// Waits until the first key is so.
    async fn until_health(&mut self, wanted: impl Fn(pb::KeyHealth) -> bool) {
        let reached = async {
            loop {
                let told = self.news.message().await.expect("it goes on").expect("it has no end");
                if wanted(told.providers[0].keys[0].health()) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("it becomes so");
    }

    async fn say(&self) {
        say_within(&self.client, "hi", PATIENCE).await.expect("an answer");
    }
}

#[tokio::test]
async fn keys_come_and_go_without_a_restart() {
    let mut proxy = Reloaded::start("{ name = \"a\", concurrency = 1 }").await;
    proxy.provider.set_faults(Of::Key("a"), Faults { hang_rate: 1.0, times: Some(1), ..Faults::default() });
    let mut client = proxy.client.clone();
    let hangs = tokio::spawn(async move { client.generate(said("hi")).await });
    proxy.provider.until(|counts| counts.key("a").in_flight == 1).await;
    let mut client = proxy.client.clone();
    let waits = tokio::spawn(async move { client.generate(said("hi")).await });
    proxy.write("{ name = \"b\", concurrency = 3 }");
    proxy.until(&[("b", 3)]).await;
    waits.await.expect("it ran").expect("who stood in line has the new key");
    for _ in 0..5 {
        proxy.say().await;
    }
    let counts = proxy.provider.counts();
    assert_eq!((counts.key("a").requests, counts.key("b").answered), (1, 6), "a removed key gets no new call");
    assert_eq!(counts.key("a").in_flight, 1, "the call that it had goes on");
    proxy.write("{ name = \"a\", concurrency = 2 }, { name = \"b\", concurrency = 4 }");
    proxy.until(&[("a", 2), ("b", 4)]).await;
    hangs.abort();
}

#[tokio::test]
async fn a_secret_that_is_replaced_ends_the_quarantine_of_its_key() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let secret = directory.path().join("key");
    std::fs::write(&secret, "wrong").expect("it is written");
    let mut proxy =
        Reloaded::start(&format!("{{ name = \"k\", key = \"file:{}\", concurrency = 1 }}", secret.display())).await;
    say_within(&proxy.client, "hi", PATIENCE).await.expect_err("nobody knows this key");
    proxy.until_health(|health| health == pb::KeyHealth::Quarantined).await;
    std::fs::write(&secret, "a").expect("it is written");
    proxy.until_health(|health| health != pb::KeyHealth::Quarantined).await;
    proxy.say().await;
    assert_eq!(proxy.provider.counts().key("a").answered, 1);
}

#[tokio::test]
async fn a_file_that_does_not_hold_changes_nothing_and_is_told_with_its_line() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let provider = provider(&[("a", Limits::default()), ("b", Limits::default())]).await;
    let mut proxy = Proxy::start(directory.path(), &provider, &model("{ name = \"a\", concurrency = 1 }", "")).await;
    let file = directory.path().join("holdfast.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, text.replace("concurrency = 1", "concurrency = 0")).expect("it is written");
    let told = proxy.until_logged("does not hold").await;
    assert!(told.contains("providers.sim.keys") && told.contains("holdfast.toml:"), "{told}");
    proxy.say(PATIENCE).await.expect("the key is as it was");
    let moved = text.replace("name = \"a\"", "name = \"b\"").replace("simulated-model", "another");
    std::fs::write(&file, moved).expect("it is written");
    let told = proxy.until_logged("next start").await;
    assert!(told.contains("models.m"), "{told}");
    proxy.say(PATIENCE).await.expect("the new key");
    let counts = provider.counts();
    assert_eq!((counts.key("a").answered, counts.key("b").answered), (1, 1));
}

#[tokio::test]
async fn a_hangup_has_the_file_read_at_once_and_ends_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let provider = provider(&[("a", Limits::default()), ("b", Limits::default())]).await;
    let mut proxy = Proxy::start(directory.path(), &provider, &model("{ name = \"a\", concurrency = 1 }", "")).await;
    proxy.say(PATIENCE).await.expect("an answer");
    let file = directory.path().join("holdfast.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, text.replace("name = \"a\"", "name = \"b\"")).expect("it is written");
    proxy.signal("HUP").await;
    proxy.until_logged("keys were taken over").await;
    proxy.say(PATIENCE).await.expect("the new key");
    assert_eq!(provider.counts().key("b").answered, 1);
}

#[tokio::test]
async fn a_secret_whose_file_comes_after_its_name_is_taken_over_then() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let secret = directory.path().join("key");
    let provider = provider(&[("a", Limits::default()), ("b", Limits::default())]).await;
    let mut proxy = Proxy::start(directory.path(), &provider, &model("{ name = \"a\", concurrency = 1 }", "")).await;
    let file = directory.path().join("holdfast.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    let named = format!("name = \"k\", key = \"file:{}\"", secret.display());
    std::fs::write(&file, text.replace("name = \"a\"", &named)).expect("it is written");
    let told = proxy.until_logged("does not hold").await;
    assert!(told.contains("cannot be read"), "{told}");
    std::fs::write(&secret, "b").expect("it is written");
    proxy.until_logged("keys were taken over").await;
    proxy.say(PATIENCE).await.expect("the new key");
    assert_eq!(provider.counts().key("b").answered, 1);
}
