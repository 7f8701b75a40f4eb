//! The tool-proxy itself is gone: its clients' fallback is in the SDK, and says no more than is known.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_sdk::{Client, Context, Json, Outcome, ToolAnswer, Worker, invocation};
use holdfast_testkit::Mesh;
use holdfast_tests::simulated::{counts, set_faults, until};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const CONFIG: &str = r#"
[gateway]
extra_agents = ["caller"]

[tools.read]
url = "simulator:/tools/read"
effect = "read_only"
fallback = [{ kind = "fixed", answer = "instead" }]

[tools.pay]
url = "simulator:/tools/pay"
timeout = "3s"
fallback = [{ kind = "fixed", answer = "instead" }]

[simulator.tools]
read = {}
pay = {}
"#;

/// A mesh, and a worker that calls the tool which its input names, so many times at the same place.
struct Desk {
    mesh: Mesh,
    client: Client,
    worker: JoinHandle<()>,
}

impl Desk {
    async fn start(patience: Duration) -> Self {
        let services = [Peer::Gateway, Peer::Queue, Peer::State, Peer::ToolProxy, Peer::Simulator];
        let mesh = Mesh::builder().only(&services).config(CONFIG).start().await;
        let gateway = mesh.url(Peer::Gateway);
        let worker = Worker::new(gateway.as_str()).tool_patience(patience).agent("caller", call);
        let worker = tokio::spawn(async move { worker.run(std::future::pending()).await.expect("the mesh takes it") });
        Self { client: Client::connect(&gateway, "").expect("the mesh's URL is one"), mesh, worker }
    }

    /// What the calls of one tool came to, as the worker was told.
    fn ask(&self, tool: &str, times: u32) -> JoinHandle<Vec<Value>> {
        let (client, spec) = (self.client.clone(), invocation("caller", &json!({"tool": tool, "times": times})));
        tokio::spawn(async move {
            let ended = client.run(spec.expect("JSON")).await.expect("it ends");
            let result = ended.result.unwrap_or_else(|| panic!("it succeeds: {:?}", ended.failure));
            serde_json::from_slice(&result.data).expect("JSON")
        })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

async fn call(context: Context, input: Json) -> Result<Json, holdfast_sdk::Failure> {
    let (tool, times) = (input["tool"].as_str().unwrap_or_default(), input["times"].as_u64().unwrap_or_default());
    let mut told = Vec::new();
    for _ in 0..times {
        told.push(what(&context.call_tool(tool, &json!({}), 1, 0).await?));
    }
    Ok(told.into())
}

fn what(answer: &ToolAnswer) -> Value {
    let outcome = match answer.outcome {
        Outcome::Real => "real",
        Outcome::Unavailable => "unavailable",
        Outcome::Unknown => "unknown",
        _ => "something else",
    };
    json!([outcome, answer.degraded_reason])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_proxy_that_is_gone_costs_the_agent_its_tools_and_not_the_invocation() {
    let mut desk = Desk::start(Duration::from_millis(300)).await;
    assert_eq!(desk.ask("read", 1).await.unwrap(), [json!(["real", ""])]);
    desk.mesh.kill(Peer::ToolProxy).await;
    for tool in ["read", "pay"] {
        assert_eq!(desk.ask(tool, 1).await.unwrap(), [json!(["unavailable", "TOOL_PROXY_UNAVAILABLE"])], "{tool}");
    }
    assert_eq!(counts(&desk.mesh, "pay").await.calls, 0);
    desk.mesh.restart(Peer::ToolProxy).await;
    assert_eq!(desk.ask("pay", 1).await.unwrap(), [json!(["real", ""])], "it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_a_dying_proxy_may_have_had_is_told_as_unknown_and_not_repeated() {
    let mut desk = Desk::start(Duration::from_millis(300)).await;
    set_faults(&desk.mesh, "pay", &json!({"mute_rate": 1.0, "times": 1})).await;
    let asked = desk.ask("pay", 1);
    until(&desk.mesh, "pay", |counts| counts.effects == 1).await;
    desk.mesh.kill(Peer::ToolProxy).await;
    assert_eq!(asked.await.unwrap(), [json!(["unknown", "TOOL_PROXY_UNAVAILABLE"])]);
    assert_eq!(counts(&desk.mesh, "pay").await.calls, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_the_next_proxy_is_told_what_is_recorded() {
    let mut desk = Desk::start(Duration::from_secs(30)).await;
    let mute = json!({"mute_rate": 1.0, "times": 1});
    set_faults(&desk.mesh, "pay", &mute).await;
    set_faults(&desk.mesh, "read", &mute).await;
    let (pay, read) = (desk.ask("pay", 2), desk.ask("read", 2));
    for tool in ["pay", "read"] {
        until(&desk.mesh, tool, |counts| counts.effects == 1).await;
    }
    desk.mesh.kill(Peer::ToolProxy).await;
    desk.mesh.restart(Peer::ToolProxy).await;
    assert_eq!(read.await.unwrap(), [json!(["real", ""]), json!(["real", ""])], "what changes nothing is asked again");
    let unknown = json!(["unknown", "OUTCOME_LOST"]);
    assert_eq!(pay.await.unwrap(), [unknown.clone(), unknown], "and stays so");
    assert_eq!(counts(&desk.mesh, "pay").await.calls, 1, "an effectful call is sent at most once");
    assert_eq!(counts(&desk.mesh, "read").await.calls, 2, "the second time it was on record");
}
