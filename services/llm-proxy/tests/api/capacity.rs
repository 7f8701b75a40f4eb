//! What operators see of the providers' limits.

use std::time::Duration;

use holdfast_proto::llm::v1 as pb;
use holdfast_simulator::{Faults, Limits, Of};
use tonic::Code;

use crate::harness::{Harness, PATIENCE, model, one_key, provider, said};

async fn capacity(harness: &Harness) -> pb::ProviderCapacity {
    let answer = harness.client.clone().get_capacity(pb::GetCapacityRequest::default()).await.expect("an answer");
    answer.into_inner().providers.remove(0)
}

fn limit(key: &pb::KeyCapacity, kind: pb::LimitKind) -> (u64, u64) {
    let limit = key.limits.iter().find(|limit| limit.kind == i32::from(kind)).expect("it has this limit");
    (limit.limit, limit.available)
}

#[tokio::test]
async fn what_a_key_leaves_is_told() {
    let toml = one_key("concurrency = 3, requests_per_minute = 10");
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    harness.say("hi").await.expect("an answer");
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, ..Faults::default() });
    let mut client = harness.client.clone();
    let hangs = tokio::spawn(async move { client.generate(said("hi")).await });
    harness.provider.until(|counts| counts.key("simulated").in_flight == 1).await;
    let told = capacity(&harness).await;
    assert_eq!((told.provider.as_str(), told.keys.len(), told.shared), ("sim", 1, false));
    let key = &told.keys[0];
    assert_eq!((key.name.as_str(), key.health, key.in_flight), ("simulated", pb::KeyHealth::Well.into(), 1));
    assert_eq!(limit(key, pb::LimitKind::Concurrency), (3, 2));
    assert_eq!(limit(key, pb::LimitKind::Requests), (10, 8));
    let line = &told.lines[0];
    assert_eq!((line.upstream_model.as_str(), line.waiting), ("simulated-model", 0));
    hangs.abort();
}

#[tokio::test]
async fn a_key_that_rests_or_is_refused_says_so() {
    let keys = "{ name = \"a\", concurrency = 4 }, { name = \"b\", concurrency = 4 }";
    let harness =
        Harness::start(model(keys, ""), provider(&[("a", Limits::default()), ("b", Limits::default())]).await).await;
    let refuse = |error_status, error_retry_after| Faults {
        error_rate: 1.0,
        error_status,
        error_retry_after,
        ..Faults::default()
    };
    harness.provider.set_faults(Of::Key("a"), refuse(429, Some(30)));
    harness.provider.set_faults(Of::Key("b"), refuse(401, None));
    harness.say_within("hi", Duration::from_secs(5)).await.expect_err("no key is well");
    let told = capacity(&harness).await;
    let health: Vec<_> = told.keys.iter().map(|key| key.health()).collect();
    assert_eq!(health, [pb::KeyHealth::Resting, pb::KeyHealth::Quarantined]);
    for key in &told.keys {
        assert!(key.rest.is_some_and(|rest| rest.seconds > 20), "{key:?}");
    }
}

#[tokio::test]
async fn a_watcher_is_told_at_once_and_then_whenever_something_changed() {
    let harness = Harness::start(one_key("concurrency = 1"), provider(&[("simulated", Limits::default())]).await).await;
    let interval = Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 });
    let request = pb::WatchCapacityRequest { model: "m".into(), interval };
    let mut news = harness.client.clone().watch_capacity(request).await.expect("a stream").into_inner();
    let mut next = async || news.message().await.expect("it goes on").expect("it has no end").providers.remove(0);
    assert_eq!(next().await.keys[0].in_flight, 0);
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, ..Faults::default() });
    let call = |mut client: crate::harness::Client| tokio::spawn(async move { client.generate(said("hi")).await });
    let calls = [call(harness.client.clone()), call(harness.client.clone())];
    loop {
        let told = next().await;
        if (told.keys[0].in_flight, told.lines[0].waiting) == (1, 1) {
            break;
        }
    }
    calls.iter().for_each(|call| call.abort());
    loop {
        let told = next().await;
        if (told.keys[0].in_flight, told.lines[0].waiting) == (0, 0) {
            break;
        }
    }
    harness.stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, async { while let Ok(Some(_)) = news.message().await {} });
    ended.await.expect("a process that drains ends its watchers");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let harness = Harness::plain().await;
    let unknown = harness.client.clone().get_capacity(pb::GetCapacityRequest { model: "none".into() }).await;
    assert_eq!(unknown.expect_err("there is no such model").code(), Code::NotFound);
    let hasty = pb::WatchCapacityRequest { interval: Some(prost_types::Duration::default()), ..Default::default() };
    let refused = harness.client.clone().watch_capacity(hasty).await.expect_err("that is no interval");
    assert_eq!(refused.code(), Code::InvalidArgument);
}
