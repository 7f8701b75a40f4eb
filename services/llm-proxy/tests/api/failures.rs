//! Providers that refuse, fail, or are gone.

use std::time::Duration;

use holdfast_rpc::status;
use holdfast_simulator::{Faults, Limits, Of};
use tonic::Code;

use crate::harness::{Harness, PATIENCE, model, one_key, provider};

const TWO_KEYS: &str = "{ name = \"a\", concurrency = 4 }, { name = \"b\", concurrency = 4 }";

async fn two_keys() -> Harness {
    let keys = [("a", Limits::default()), ("b", Limits::default())];
    Harness::start(model(TWO_KEYS, ""), provider(&keys).await).await
}

fn status_of(error_status: u16, error_retry_after: Option<u64>) -> Faults {
    Faults { error_rate: 1.0, error_status, error_retry_after, ..Faults::default() }
}

#[tokio::test]
async fn a_key_that_was_told_429_rests_as_long_as_it_was_told() {
    let harness = two_keys().await;
    harness.provider.set_faults(Of::Key("a"), status_of(429, Some(7)));
    for _ in 0..20 {
        harness.say("hi").await.expect("the other key answers");
    }
    let counts = harness.provider.counts();
    assert_eq!((counts.key("a").requests, counts.key("b").answered), (1, 20));
}

#[tokio::test]
async fn a_call_waits_out_a_429_and_then_succeeds() {
    let harness = Harness::start(one_key("concurrency = 4"), provider(&[("simulated", Limits::default())]).await).await;
    harness.provider.set_faults(Of::Provider, Faults { times: Some(1), ..status_of(429, Some(1)) });
    let answer = harness.say_within("hi", PATIENCE).await.expect("after a second");
    let timing = answer.timing.expect("timing");
    assert_eq!(timing.attempts, 2);
    assert!(timing.waited.is_some_and(|waited| waited.seconds >= 1 || waited.nanos > 900_000_000));
}

#[tokio::test]
async fn a_429_that_outlasts_the_deadline_is_told_at_once() {
    let harness = Harness::start(one_key("concurrency = 4"), provider(&[("simulated", Limits::default())]).await).await;
    harness.provider.set_faults(Of::Provider, Faults { times: Some(1), ..status_of(429, Some(30)) });
    let refused = harness.say_within("hi", Duration::from_secs(5)).await.expect_err("the key rests");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(status::retry_after(&refused).is_some_and(|time| time > Duration::from_secs(25)));
}

#[tokio::test]
async fn a_revoked_key_is_left_alone() {
    let harness = two_keys().await;
    harness.provider.revoke_key("a");
    for _ in 0..10 {
        harness.say("hi").await.expect("the other key answers");
    }
    assert_eq!((harness.provider.counts().strangers, harness.provider.counts().key("b").answered), (1, 10));
    harness.provider.revoke_key("b");
    let gone = harness.say("hi").await.expect_err("no key is left");
    assert_eq!(gone.code(), Code::Unavailable, "{gone:?}");
    assert!(status::retry_after(&gone).is_some());
    assert!(!gone.message().contains("Bearer"), "keys are never shown");
}

#[tokio::test]
async fn one_failure_is_made_good_by_another_key() {
    let harness = two_keys().await;
    for _ in 0..10 {
        harness.say("hi").await.expect("an answer");
    }
    harness.provider.set_faults(Of::Provider, Faults { times: Some(1), ..status_of(503, None) });
    let answer = harness.say("hi").await.expect("the second attempt");
    assert_eq!(answer.timing.expect("timing").attempts, 2);
}

#[tokio::test]
async fn an_outage_meets_at_most_a_tenth_more_requests_than_calls_and_then_none() {
    let harness = two_keys().await;
    harness.provider.set_faults(Of::Provider, status_of(500, None));
    for _ in 0..40 {
        let gone = harness.say("hi").await.expect_err("the provider is down");
        assert_eq!(gone.code(), Code::Unavailable);
        assert!(status::retry_after(&gone).is_some());
    }
    let counts = harness.provider.counts();
    let requests = counts.key("a").requests + counts.key("b").requests;
    assert!((10..=11).contains(&requests), "{requests}: the circuit opens at ten calls");
}

#[tokio::test]
async fn the_next_deployment_answers_where_the_first_is_down() {
    let toml = format!(
        "{}{}",
        one_key("concurrency = 4")
            .replace("deployments = [", "deployments = [{ provider = \"down\", model = \"simulated-model\" }, "),
        "[providers.down]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nkeys = [{ name = \"k\" }]\n",
    );
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    let answer = harness.say("hi").await.expect("the second deployment");
    assert_eq!(answer.deployment, "sim/simulated-model");
    assert_eq!(answer.timing.expect("timing").attempts, 2);
    let (parts, end) = harness.stream("hi").await;
    assert!(end.is_none() && parts.len() > 2, "so it does in a stream: {end:?}");
}

#[tokio::test]
async fn the_last_fallback_is_marked() {
    let toml = one_key("concurrency = 4") + "fallback = { answer = \"A person will answer you.\" }\n";
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    harness.provider.set_faults(Of::Provider, status_of(500, None));
    let answer = harness.say("hi").await.expect("the fallback");
    assert!(answer.degraded);
    assert_eq!(answer.message.expect("a message").content, "A person will answer you.");
    assert_eq!(answer.deployment, "");
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_after_its_time() {
    let toml = model("{ name = \"simulated\", concurrency = 4 }", "timeout = \"200ms\"");
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, ..Faults::default() });
    let gone = harness.say_within("hi", PATIENCE).await.expect_err("it hangs");
    assert_eq!(gone.code(), Code::Unavailable, "{gone:?}");
    harness.provider.until(|counts| counts.key("simulated").broken_off == 1).await;
}
