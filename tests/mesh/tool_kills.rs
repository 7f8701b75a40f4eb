//! An agent that is killed after its tool was called and before the answer is on record: its successor goes on, and every
//! effect happens as its tool is declared.

use std::time::Duration;

use futures::future::join_all;
use holdfast_config::Peer;
use holdfast_proto::queue::v1::{Invocation, InvocationState};
use holdfast_sdk::{Client, invocation};
use holdfast_testkit::{Mesh, Signal};
use holdfast_tests::simulated::{Counts, counts, effects, set_faults, until};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A tool, how its only disturbed call misbehaves, and what must come of it.
struct Case {
    tool: &'static str,
    effect: &'static str,
    fault: &'static str,
    /// What the agent is told in the end.
    outcome: &'static str,
    calls_max: u64,
    effects: u64,
}

/// It answers while nobody is there who waits for it.
const SLOW: &str = r#"{"hang_rate": 1.0, "hang_for": "2s", "times": 1}"#;
/// It does what it is for, and never answers.
const MUTE: &str = r#"{"mute_rate": 1.0, "times": 1}"#;

const CASES: [Case; 5] = [
    Case { tool: "look", effect: "read_only", fault: MUTE, outcome: "REAL", calls_max: 2, effects: 2 },
    Case { tool: "put", effect: "idempotent", fault: SLOW, outcome: "REAL", calls_max: 2, effects: 1 },
    Case { tool: "put_mute", effect: "idempotent", fault: MUTE, outcome: "REAL", calls_max: 2, effects: 1 },
    Case { tool: "pay", effect: "effectful", fault: SLOW, outcome: "REAL", calls_max: 1, effects: 1 },
    Case { tool: "pay_mute", effect: "effectful", fault: MUTE, outcome: "UNKNOWN", calls_max: 1, effects: 1 },
];

/// An agent for each tool, which calls it once and answers with where the answer came from.
fn config() -> String {
    let mut toml = r#"
[queue]
lease_ttl = "2s"
stream_grace = "200ms"

[models.scripted]
deployments = [{ provider = "simulated", model = "simulated-model" }]

[providers.simulated]
kind = "openai"
base_url = "simulator:/v1"
keys = [{ name = "simulated", concurrency = 16 }]
"#
    .to_owned();
    for Case { tool, effect, .. } in CASES {
        toml += &format!(
            r#"
[agents.{tool}]
model = "scripted"
tools = ["{tool}"]

[tools.{tool}]
url = "simulator:/tools/{tool}"
effect = "{effect}"
timeout = "5s"
attempts = 1
fallback = [{{ kind = "unavailable", advice = "Go on." }}]

[simulator.tools.{tool}]

[[simulator.rules]]
when = {{ offers = ["{tool}"], unanswered = ["{tool}"] }}
calls = [{{ tool = "{tool}", arguments = {{ cents = 5 }} }}]

[[simulator.rules]]
when = {{ offers = ["{tool}"] }}
json = {{ outcome = "{{{{result.{tool}.outcome|REAL}}}}" }}
"#
        );
    }
    toml
}

struct Desk {
    mesh: Mesh,
    client: Client,
}

impl Desk {
    async fn start() -> Self {
        let mesh = Mesh::builder().config(config()).start().await;
        let client = Client::connect(&mesh.url(Peer::Gateway), "").expect("the mesh's URL is one");
        Self { mesh, client: client.timeout(Duration::from_secs(60)) }
    }

    async fn ask(&self, case: &Case) -> JoinHandle<Invocation> {
        set_faults(&self.mesh, case.tool, &serde_json::from_str(case.fault).expect("JSON")).await;
        let (client, spec) = (self.client.clone(), invocation(case.tool, &json!({})).expect("JSON"));
        tokio::spawn(async move { client.run(spec).await.expect("it ends") })
    }

    async fn fits(&self, case: &Case, asked: JoinHandle<Invocation>) {
        assert_eq!(said(&asked.await.expect("no panic")), case.outcome, "{}", case.tool);
        let Counts { calls, effects: happened, .. } = counts(&self.mesh, case.tool).await;
        assert!(
            calls <= case.calls_max && happened <= case.effects,
            "{}: {calls} calls, {happened} effects",
            case.tool
        );
        assert!(happened > 0, "{}: nothing happened", case.tool);
        if case.effect != "read_only" {
            let keys: Vec<_> = effects(&self.mesh, case.tool).await.into_iter().map(|effect| effect.key).collect();
            assert!(keys.len() == 1 && keys[0].is_some(), "{}: {keys:?}", case.tool);
        }
    }
}

/// Where the answer of the tool came from, as the agent says at its end.
fn said(ended: &Invocation) -> String {
    assert_eq!(ended.state(), InvocationState::Succeeded, "{:?}", ended.failure);
    let result = ended.result.as_ref().expect("a result");
    let answer: Value = serde_json::from_slice(&result.data).expect("JSON");
    answer["outcome"].as_str().expect("it says so").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_the_call_and_its_record_repeats_no_effect() {
    let mut desk = Desk::start().await;
    let asked = join_all(CASES.iter().map(|case| desk.ask(case))).await;
    join_all(CASES.iter().map(|case| until(&desk.mesh, case.tool, |counts| counts.calls == 1))).await;
    desk.mesh.kill(Peer::Agent).await;
    desk.mesh.restart(Peer::Agent).await;
    for (case, asked) in CASES.iter().zip(asked) {
        desk.fits(case, asked).await;
    }
}

/// The answer is there, and neither the proxy nor the agent can write it down when the agent is killed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_could_not_be_recorded_before_its_worker_was_killed_is_not_lost() {
    let mut desk = Desk::start().await;
    let slow: Vec<_> = CASES.iter().filter(|case| case.fault == SLOW).collect();
    let asked = join_all(slow.iter().map(|case| desk.ask(case))).await;
    join_all(slow.iter().map(|case| until(&desk.mesh, case.tool, |counts| counts.calls == 1))).await;
    desk.mesh.signal(Peer::State, Signal::Stop).await;
    join_all(slow.iter().map(|case| until(&desk.mesh, case.tool, |counts| counts.answered == 1))).await;
    desk.mesh.kill(Peer::Agent).await;
    desk.mesh.signal(Peer::State, Signal::Continue).await;
    desk.mesh.restart(Peer::Agent).await;
    for (case, asked) in slow.into_iter().zip(asked) {
        desk.fits(case, asked).await;
    }
}
