//! Four keys of one provider: a good one, one that must rest, one that was revoked, and one that comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_config::Peer;
use holdfast_simulator::Counts;
use holdfast_testkit::Mesh;
use holdfast_tests::llm::{Account, Answered, Ask, Caller, counts, until};
use tokio::task::JoinSet;

// A place each, so that what a key is told, nobody else is just about to be told too.
const CONFIG: &str = r#"
[providers.four]
kind = "openai"
base_url = "simulator:/v1"
cooldown = "100ms"
keys = [
    { name = "good", concurrency = 1 },
    { name = "resting", concurrency = 1 },
    { name = "revoked", concurrency = 1 },
    { name = "flapping", concurrency = 1 },
]

[models.four]
deployments = [{ provider = "four", model = "simulated-model" }]

[simulator]
keys.good = {}
keys.resting = {}
keys.flapping = {}
faults = { latency = "5ms" }
"#;

/// A second, in the provider's microseconds.
const SECOND_US: u64 = 1_000_000;

async fn mesh() -> Mesh {
    let mesh = Mesh::builder().only(&[Peer::Gateway, Peer::LlmProxy, Peer::Simulator]).config(CONFIG).start().await;
    let faults = async |key: &str, faults: &str| {
        mesh.http(Peer::Simulator, "PUT", &format!("/admin/keys/{key}/faults"), faults).await;
    };
    faults("resting", r#"{"error_rate": 1.0, "error_status": 429, "error_retry_after": 7}"#).await;
    let flaps = r#"{"error_rate": 1.0, "error_status": 429, "flap": {"ill": "150ms", "well": "600ms"}}"#;
    faults("flapping", flaps).await;
    mesh
}

/// Eight callers ask until it is enough; what they were answered.
async fn ask_until(mesh: &Mesh, enough: impl Fn(&Counts) -> bool) -> Vec<Answered> {
    let (caller, stop) = (Caller::at(mesh, Peer::Gateway), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (caller, stop) = (caller.clone(), Arc::clone(&stop));
        callers.spawn(async move {
            let deadline = Duration::from_secs(60);
            let ask = Ask { model: "four".into(), prompt: "hello".into(), deadline, ..Ask::default() };
            let mut answers = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                answers.push(caller.call(&ask).await);
            }
            answers
        });
    }
    until(mesh, enough).await;
    stop.store(true, Ordering::Relaxed);
    callers.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_well_costs_no_caller_an_answer() {
    let mesh = mesh().await;
    let answers = ask_until(&mesh, |counts| {
        let flapping = counts.key("flapping");
        flapping.errors >= 2 && flapping.answered >= 20 && counts.key("good").answered >= 20
    })
    .await;
    for answer in &answers {
        assert!(answer.is_real(), "another key is well: {:?}", answer.outcome);
    }

    let resting = Account::of(&mesh, "resting").await.calls;
    let told_us = resting.first().and_then(|call| call.ended_us).expect("it was tried once");
    let too_early = resting.iter().skip(1).filter(|call| call.at_us < told_us + 7 * SECOND_US).count();
    assert!(too_early <= 1, "it was told to wait for 7 s: {resting:?}");

    let counts = counts(&mesh).await;
    assert_eq!(counts.strangers, 1, "a revoked key is not shown again: {counts:?}");
    let metrics = mesh.metrics(Peer::LlmProxy).await;
    let usable = |key: &str, value: &str| {
        let of_key = format!("key=\"{key}\"");
        let mut lines = metrics.lines().filter(|line| line.starts_with("holdfast_llm_key_usable"));
        lines.any(|line| line.contains(&of_key) && line.ends_with(value))
    };
    assert!(usable("revoked", " 0") && usable("good", " 1"), "{metrics}");
}
