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
