//! A provider that speaks OpenAI's protocol as Azure has it.

use holdfast_simulator::Limits;

use crate::harness::{Harness, provider};

#[tokio::test]
async fn a_deployment_is_asked_by_its_path_with_the_key_in_its_header() {
    let toml = "[providers.azure]\nkind = \"azure\"\nbase_url = \"simulator:\"\napi_version = \"2024-10-21\"\n\
                keys = [{ name = \"simulated\", concurrency = 4 }]\n\
                [models.m]\ndeployments = [{ provider = \"azure\", model = \"simulated-model\" }]\n";
    let harness = Harness::start(toml.into(), provider(&[("simulated", Limits::default())]).await).await;
    let answer = harness.say("hi").await.expect("an answer");
    assert_eq!(answer.deployment, "azure/simulated-model");
    let (parts, error) = harness.stream("hi").await;
    assert!(error.is_none() && parts.len() > 1, "{error:?}");
    assert_eq!(harness.provider.counts().key("simulated").answered, 2);
}
