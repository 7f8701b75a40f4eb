//! An invocation's budget of model tokens: what stops an agent that goes round in circles.

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::{
    GetInvocationRequest, RedriveInvocationsRequest, SubmitInvocationRequest, WatchInvocationRequest,
};
use holdfast_proto::queue::v1::{Invocation, InvocationState};
use holdfast_sdk::invocation;
use holdfast_testkit::{Mesh, Signal};
use serde_json::Value;

/// An agent that looks at its state for ever.
const CONFIG: &str = r#"
[llm_proxy.budgets]
invocation_tokens = 3000

[providers.sim]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "main" }]

[models.m]
deployments = [{ provider = "sim", model = "simulated-model" }]
max_output_tokens = 100

[agents.circling]
model = "m"
tools = ["state_list"]
steps_max = 1000

[simulator.keys.main]

[[simulator.rules]]
when = { offers = ["state_list"] }
calls = [{ tool = "state_list", arguments = { namespace = "n", partition = "p" } }]
"#;

/// Requests that the provider has seen, and the tokens that it counted.
async fn counted(mesh: &Mesh) -> (u64, u64, u64) {
    let counts = mesh.http(Peer::Simulator, "GET", "/admin/counts", "").await;
    let key = serde_json::from_str::<Value>(&counts).unwrap()["keys"]["main"].clone();
    let number = |name: &str| key[name].as_u64().unwrap_or_else(|| panic!("{name} in {key}"));
    (number("requests"), number("prompt_tokens"), number("completion_tokens"))
}

async fn ended(mesh: &Mesh, id: &str) -> Invocation {
    let watch = WatchInvocationRequest { invocation_id: id.into(), from_offset: 0 };
    let mut events = mesh.invocations().watch_invocation(watch).await.unwrap().into_inner();
    while events.message().await.unwrap().is_some() {}
    let get = GetInvocationRequest { invocation_id: id.into() };
    mesh.invocations().get_invocation(get).await.unwrap().into_inner().invocation.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_goes_round_in_circles_stops_at_its_invocations_budget() {
    let services = [Peer::Gateway, Peer::Queue, Peer::State, Peer::LlmProxy, Peer::Agent, Peer::Simulator];
    let mut mesh = Mesh::builder().only(&services).config(CONFIG).start().await;
    let spec = invocation("circling", &"go").expect("text is JSON");
    let submit = SubmitInvocationRequest { spec: Some(spec) };
    let id = mesh.invocations().submit_invocation(submit).await.unwrap().into_inner().invocation_id;

    let stopped = ended(&mesh, &id).await;
    let failure = stopped.failure.clone().unwrap_or_default();
    assert_eq!(
        (stopped.state(), failure.reason.as_str()),
        (InvocationState::Failed, "INVOCATION_BUDGET"),
        "{stopped:?}"
    );
    assert!(failure.message.contains("budget is 3000 tokens"), "{failure:?}");
    let usage = stopped.usage.unwrap();
    let (requests, input, output) = counted(&mesh).await;
    assert_eq!((usage.input_tokens, usage.output_tokens), (input, output), "by the provider's own count");
    assert!(requests > 2 && input + output <= 3_000, "{requests} requests, {input} and {output} tokens");
    let page = mesh.metrics(Peer::LlmProxy).await;
    let refused = page.lines().any(|line| line.starts_with("holdfast_llm_over_budget_total{") && line.ends_with(" 1"));
    assert!(refused && page.contains("agent=\"circling\""), "{page}");

    // Neither another process nor a redrive begins anew.
    mesh.signal(Peer::LlmProxy, Signal::Terminate).await;
    mesh.process(Peer::LlmProxy).wait().await;
    mesh.restart(Peer::LlmProxy).await;
    let redrive = RedriveInvocationsRequest { invocation_ids: vec![id.clone()], ..Default::default() };
    mesh.invocations().redrive_invocations(redrive).await.unwrap();
    let again = ended(&mesh, &id).await;
    assert_eq!(again.failure.map(|failure| failure.reason).as_deref(), Some("INVOCATION_BUDGET"));
    assert_eq!(again.past_ends.len(), 1, "it was redriven");
    assert_eq!(counted(&mesh).await.0, requests, "and nothing was asked");
    assert_eq!(again.usage, Some(usage), "recorded steps count once");
}
