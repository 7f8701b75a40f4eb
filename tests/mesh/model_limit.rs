//! The mission's case: 40 callers at once, an endpoint that allows 20.

use std::sync::Arc;

use holdfast_config::Peer;
use holdfast_proto::llm::v1::llm_service_client::LlmServiceClient;
use holdfast_proto::llm::v1::{FinishReason, GenerateRequest, Message, Role};
use holdfast_testkit::Mesh;
use serde_json::Value;
use tokio::task::JoinSet;

const CONFIG: &str = r#"
[providers.limited]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "limited", concurrency = 20 }]

[models.limited]
deployments = [{ provider = "limited", model = "simulated-model" }]

[simulator]
keys.limited = { concurrency = 20 }
faults = { latency = "20ms" }
"#;

fn hello() -> GenerateRequest {
    let said = Message { role: Role::User.into(), content: "hello".into(), ..Default::default() };
    GenerateRequest { model: "limited".into(), messages: vec![said], ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_callers_at_a_limit_of_twenty_are_never_told_429() {
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]);
    let mesh = Arc::new(mesh.config(CONFIG).start().await);
    let mut callers = JoinSet::new();
    for _ in 0..40 {
        let mut llm = LlmServiceClient::new(mesh.channel(Peer::Gateway));
        callers.spawn(async move {
            for _ in 0..10 {
                let answer = llm.generate(hello()).await.expect("a call waits its turn").into_inner();
                assert_eq!((answer.finish_reason(), answer.degraded), (FinishReason::Stop, false));
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let counts = mesh.http(Peer::Simulator, "GET", "/admin/counts", "").await;
    let key = serde_json::from_str::<Value>(&counts).unwrap()["keys"]["limited"].clone();
    assert_eq!((&key["refused"], &key["answered"]), (&0.into(), &400.into()), "{key}");
    assert_eq!(key["in_flight_max"], 20, "the whole limit is used: {key}");
}
