//! What a provider's refusals take away, and what not: a stub says them word for word.

use holdfast_proto::llm::v1 as pb;
use holdfast_simulator::Limits;
use tonic::Code;

use crate::{
    harness::{Harness, provider, said},
    stub::{self, Stub},
};

const CANARY: &str = "sk-canary-7f31";

async fn harness(toml: String) -> Harness {
    Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await
}

async fn keys(harness: &Harness) -> Vec<pb::KeyCapacity> {
    let answer = harness.client.clone().get_capacity(pb::GetCapacityRequest::default()).await.expect("an answer");
    answer.into_inner().providers.remove(0).keys
}

#[tokio::test]
async fn a_key_that_a_provider_repeats_is_struck_out_wherever_it_stands() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let secret = directory.path().join("key");
    std::fs::write(&secret, CANARY).expect("it is written");
    let error = format!(
        r#"{{"error":{{"code":400,"message":"{} and {CANARY}","param":"tools[{CANARY}]"}}}}"#,
        // The cut must not leave a part of it.
        "x".repeat(990),
    );
    let unknown = error.replace("400", "404");
    for body in [&error, &unknown, &stub::event(&error), &(stub::text("Well.") + &stub::event(&error))] {
        let provider = Stub::start(vec![body.clone()]).await;
        let key = format!("name = \"k\", key = \"file:{}\"", secret.display());
        let toml = provider.toml().replace(", { name = \"l\", concurrency = 4 }", "").replace("name = \"k\"", &key);
        let harness = harness(toml).await;
        let whole = harness.say("hi").await.err();
        let (_, streamed) = harness.stream("hi").await;
        assert_eq!(provider.headers("authorization")[0].as_deref(), Some(&*format!("Bearer {CANARY}")));
        for told in whole.into_iter().chain(streamed) {
            let all = format!("{told:?} {}", String::from_utf8_lossy(told.details()));
            assert!(!all.contains("sk-") && !all.contains("canary"), "{all}");
        }
    }
}

#[tokio::test]
async fn a_callers_words_take_no_key_away_that_another_key_does_not_like_either() {
    let forbidden = r#"{"error":{"code":403,"message":"not this"}}"#.to_owned();
    let answer = r#"{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}]}"#.to_owned();
    let provider = Stub::start(vec![forbidden.clone(), forbidden, answer]).await;
    let harness = harness(provider.toml()).await;
    let refused = harness.say("something bad").await.expect_err("it is forbidden with both keys");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let lost = keys(&harness).await.into_iter().filter(|key| key.health() == pb::KeyHealth::Quarantined).count();
    assert_eq!(lost, 0, "what was said is at fault");
    harness.say("hi").await.expect("an answer");
    provider.insert(r#"{"error":{"code":403,"message":"not this key"}}"#.to_owned());
    harness.say("hi").await.expect("the other key answers");
    let lost = keys(&harness).await.into_iter().filter(|key| key.health() == pb::KeyHealth::Quarantined).count();
    assert_eq!(lost, 1, "and the key, where another one may");
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_gives_back_nothing_of_what_it_cost() {
    for error in [r#"{"error":{"code":429}}"#, r#"{"error":{"code":401}}"#, r#"{"error":{"code":400}}"#] {
        let provider = Stub::start(vec![stub::text("Well.") + &stub::event(error)]).await;
        let harness = harness(provider.toml().replace("concurrency = 4", "tokens_per_minute = 1000")).await;
        let request = pb::GenerateRequest { max_output_tokens: 400, ..said("hi") };
        let request = pb::StreamGenerateRequest { request: Some(request) };
        let mut stream = harness.client.clone().stream_generate(request).await.expect("it begins").into_inner();
        while let Ok(Some(_)) = stream.message().await {}
        let keys = keys(&harness).await;
        let least = keys.iter().map(|key| key.limits[0].available).min().expect("two keys");
        assert!(least <= 600, "{error}: {least} of 1000 are free after an answer of up to 400");
        let rests = keys.iter().filter(|key| key.health() != pb::KeyHealth::Well).count();
        assert_eq!(rests, usize::from(!error.contains("400")), "{error}");
    }
}

#[tokio::test]
async fn an_only_key_is_not_lost_to_a_callers_words() {
    let forbidden = r#"{"error":{"code":403,"message":"not this"}}"#.to_owned();
    let answer = r#"{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}]}"#.to_owned();
    let provider = Stub::start(vec![answer]).await;
    let toml = provider.toml().replace(", { name = \"l\", concurrency = 4 }", "");
    let harness = harness(toml.replace("[models.m]", "cooldown = \"20s\"\n[models.m]")).await;
    for _ in 0..3 {
        provider.insert(forbidden.clone());
        let refused = harness.say("something bad").await.expect_err("it is forbidden");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains("not this"), "{refused:?}");
        harness.say("hi").await.expect("an answer to the others");
    }
    for health in [pb::KeyHealth::Well, pb::KeyHealth::Well, pb::KeyHealth::Quarantined] {
        provider.insert(forbidden.clone());
        harness.say("hi").await.expect_err("it is forbidden");
        assert_eq!(keys(&harness).await[0].health(), health);
    }
    let refused = harness.say("hi").await.expect_err("whatever is asked is forbidden");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(holdfast_rpc::status::retry_after(&refused).is_some_and(|wait| wait.as_secs() <= 20), "{refused:?}");
}

#[tokio::test]
async fn what_is_forbidden_with_an_only_key_or_with_two_is_asked_elsewhere() {
    let sim = "[providers.sim]\nkind = \"openai\"\nbase_url = \"simulator:/v1\"\nkeys = [{ name = \"simulated\" }]\n";
    for another in ["", ", { name = \"l\", concurrency = 4 }"] {
        let provider = Stub::start(vec![r#"{"error":{"code":403,"message":"not this model"}}"#.to_owned()]).await;
        let toml = provider.toml().replace(", { name = \"l\", concurrency = 4 }", another).replace(
            "{ provider = \"stub\", model = \"x\" }",
            "{ provider = \"stub\", model = \"x\" }, { provider = \"sim\", model = \"simulated-model\" }",
        );
        let harness = harness(format!("{toml}{sim}")).await;
        // An only key may be at fault and is left alone in the end; of two it is none.
        for _ in 0..if another.is_empty() { 1 } else { 5 } {
            let answer = harness.say("hi").await.expect("another provider answers");
            assert_eq!(answer.deployment, "sim/simulated-model");
        }
        let providers = harness.client.clone().get_capacity(pb::GetCapacityRequest::default()).await;
        let providers = providers.expect("an answer").into_inner().providers;
        let mut keys = providers.iter().flat_map(|provider| &provider.keys);
        assert!(keys.all(|key| key.health() != pb::KeyHealth::Quarantined), "{providers:?}");
    }
}

#[tokio::test]
async fn what_a_provider_says_of_the_limit_of_tokens_is_told_by_the_callers_name_for_it() {
    let error = r#"{"error":{"code":400,"message":"too many","param":"max_tokens"}}"#;
    let provider = Stub::start(vec![error.to_owned()]).await;
    let harness = harness(provider.toml()).await;
    let refused = harness.ask(pb::GenerateRequest { max_output_tokens: 9, ..said("hi") }).await.expect_err("too many");
    assert_eq!(holdfast_rpc::status::field(&refused).as_deref(), Some("max_output_tokens"));
}
