//! A proxy that was killed, and the next one on the same data.

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Span;
use holdfast_proto::llm::v1 as pb;
use holdfast_simulator::{Faults, Limits, Of};
use tonic::Code;

use crate::{
    harness::{Client, Harness, PATIENCE, allowed, model, one_key, provider, said, say_within},
    process::Proxy,
};

#[tokio::test]
async fn what_was_sent_before_a_kill_still_counts() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let toml = model("{ name = \"simulated\", requests_per_minute = 10 }", "window = \"1s\"");
    let provider = provider(&[("simulated", allowed(Some(10), None, 1_000))]).await;
    for round in 1..=3 {
        let proxy = Proxy::start(directory.path(), &provider, &toml).await;
        let answers = join_all((0..7).map(|_| proxy.say(PATIENCE))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(provider.counts().answered(), round * 7);
        proxy.kill().await;
    }
    assert_eq!(provider.counts().refused(), 0);
}

#[tokio::test]
async fn a_key_that_was_never_used_does_not_wait() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let toml = model("{ name = \"simulated\", requests_per_minute = 1 }", "");
    let provider = provider(&[("simulated", allowed(Some(1), None, 60_000))]).await;
    let proxy = Proxy::start(directory.path(), &provider, &toml).await;
    proxy.say(Duration::from_secs(10)).await.expect("nothing was sent before");
    proxy.kill().await;
    let proxy = Proxy::start(directory.path(), &provider, &toml).await;
    let refused = proxy.say(Duration::from_secs(10)).await.expect_err("the window is spent");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(provider.counts().refused(), 0);
}

#[tokio::test]
async fn calls_that_a_kill_left_open_have_ended_before_the_next_begin() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let toml = one_key("concurrency = 3");
    let provider = provider(&[("simulated", allowed(None, Some(3), 60_000))]).await;
    provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, times: Some(3), ..Faults::default() });
    let proxy = Proxy::start(directory.path(), &provider, &toml).await;
    let call = |mut client: Client| tokio::spawn(async move { client.generate(said("hi")).await });
    let open: Vec<_> = (0..3).map(|_| call(proxy.client.clone())).collect();
    provider.until(|counts| counts.key("simulated").in_flight == 3).await;
    proxy.kill().await;
    let proxy = Proxy::start(directory.path(), &provider, &toml).await;
    let answers = join_all((0..3).map(|_| proxy.say(PATIENCE))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(provider.counts().refused(), 0);
    join_all(open).await.into_iter().for_each(|ended| assert!(ended.expect("it ran").is_err(), "its proxy is gone"));
}

#[tokio::test]
async fn two_proxies_do_not_share_a_directory() {
    let harness = Harness::plain().await;
    harness.say("hi").await.expect("it serves");
    let mut common = holdfast_config::Common::default();
    common.data.dir = harness.directory.path().to_owned();
    let host = holdfast_rpc::service::Host::bind("llm-proxy", "127.0.0.1:0", &common).await.expect("a free port");
    let second = holdfast_llm_proxy::serve(common, holdfast_llm_proxy::Config::default(), host).await;
    let error = second.expect_err("the directory is taken").to_string();
    assert!(error.contains("another llm-proxy"), "{error}");
}

#[tokio::test]
async fn a_stop_lets_answers_end() {
    let harness = Harness::plain().await;
    let slow = Faults { latency: Span::from_millis(200), ..Faults::default() };
    harness.provider.set_faults(Of::Provider, slow);
    let mut client = harness.client.clone();
    let call = tokio::spawn(async move { client.generate(said("hi")).await });
    harness.provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    harness.stop.cancel();
    call.await.expect("it ran").expect("an answer in progress ends well");
}

#[tokio::test]
async fn what_is_answered_in_a_drain_counts_as_what_it_was() {
    const A_DAY: u64 = 100_000;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let provider = provider(&[("simulated", Limits::default())]).await;
    let slow = Faults { latency: Span::from_millis(200), ..Faults::default() };
    provider.set_faults(Of::Provider, slow);
    let toml = one_key(&format!("concurrency = 1, tokens_per_day = {A_DAY}"));
    let proxy = Proxy::start(directory.path(), &provider, &toml).await;
    let client = proxy.client.clone();
    let call = tokio::spawn(async move { say_within(&client, "hi", PATIENCE).await });
    provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    proxy.signal("TERM").await;
    call.await.expect("it ran").expect("an answer in progress ends well");
    proxy.end().await;
    let used = provider.counts().key("simulated");
    let proxy = Proxy::start(directory.path(), &provider, &toml).await;
    let told = proxy.client.clone().get_capacity(pb::GetCapacityRequest::default()).await.expect("an answer");
    let key = &told.get_ref().providers[0].keys[0];
    let left = |kind: pb::LimitKind| key.limits.iter().find(|limit| limit.kind() == kind).map(|limit| limit.available);
    assert_eq!(left(pb::LimitKind::TokensPerDay), Some(A_DAY - used.prompt_tokens - used.completion_tokens));
    assert_eq!(left(pb::LimitKind::Concurrency), Some(1));
    proxy.kill().await;
}
