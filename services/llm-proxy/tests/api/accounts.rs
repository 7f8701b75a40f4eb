//! Tokens are counted by who used them, and with which key.

use holdfast_config::Common;
use holdfast_rpc::{
    client,
    lease::{LeaseKey, LeaseToken},
};
use holdfast_simulator::Limits;
use tonic::Request;

use crate::{
    harness::{one_key, provider, said},
    process::Proxy,
};

/// The token of an invocation's lease, as the queue of that data directory signs it.
pub fn lease(directory: &std::path::Path, invocation: &str) -> String {
    let mut common = Common::default();
    common.data.dir = directory.to_owned();
    let token = LeaseToken {
        tenant: "default".into(),
        invocation_id: invocation.into(),
        attempt: 1,
        lease_id: "l".into(),
        fence: 1,
        agent: "clerk".into(),
        ..Default::default()
    };
    LeaseKey::load(&common).expect("the key was minted").sign(&token)
}

#[tokio::test]
async fn tokens_are_counted_by_model_tenant_agent_and_key() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let provider = provider(&[("simulated", Limits::default())]).await;
    let proxy = Proxy::start(directory.path(), &provider, &one_key("concurrency = 2")).await;
    let request = client::with_lease(Request::new(said("hi")), &lease(directory.path(), "i")).expect("ASCII");
    let used = proxy.client.clone().generate(request).await.expect("an answer").into_inner().usage.expect("it counts");
    let page = proxy.metrics().await;
    for (name, labels) in [
        ("holdfast_llm_tokens_total", ["model=\"m\"", "tenant=\"default\"", "agent=\"clerk\""]),
        ("holdfast_llm_key_tokens_total", ["provider=\"sim\"", "key=\"simulated\"", ""]),
    ] {
        for (direction, tokens) in [("input", used.input_tokens), ("output", used.output_tokens)] {
            let direction = format!("direction=\"{direction}\"");
            let is_it = |line: &&str| {
                line.starts_with(name) && line.contains(&direction) && labels.iter().all(|label| line.contains(label))
            };
            let line = page.lines().find(is_it).unwrap_or_else(|| panic!("no {name} {direction} in {page}"));
            assert_eq!(line.rsplit(' ').next(), Some(tokens.to_string().as_str()), "{line}");
        }
    }
    proxy.kill().await;
}
