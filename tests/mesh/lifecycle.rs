//! An invocation's whole life, as the command line asks for it and shows it.

use std::time::Duration;

use holdfast_config::Peer;
use holdfast_proto::queue::v1::{CompleteRequest, FailRequest, Failure, Lease, LeaseRequest};
use holdfast_testkit::Mesh;
use holdfast_tests::patience::patiently;
use serde_json::{Value, json};

const CONFIG: &str = "[gateway]\nextra_agents = [\"mail\"]\n";

async fn start() -> Mesh {
    Mesh::builder().only(&[Peer::Gateway, Peer::Queue, Peer::State]).config(CONFIG).start().await
}

/// Runs a command; its exit code, and the documents that it printed, one a line.
async fn run(mesh: &Mesh, arguments: &[&str]) -> (i32, Vec<Value>) {
    let output = mesh.command().arg("--json").args(arguments).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let code = output.status.code().unwrap();
    assert!(code != 2, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    (code, documents)
}

async fn one(mesh: &Mesh, arguments: &[&str]) -> Value {
    let (code, mut documents) = run(mesh, arguments).await;
    assert_eq!((code, documents.len()), (0, 1), "{arguments:?}: {documents:?}");
    documents.remove(0)
}

async fn submit(mesh: &Mesh, arguments: &[&str]) -> String {
    let accepted = one(mesh, &[&["submit", "mail", "{}"], arguments].concat()).await;
    accepted["invocation_id"].as_str().unwrap().to_owned()
}

async fn leased(mesh: &Mesh, max_leases: u32) -> Vec<Lease> {
    let wait = Some(Duration::from_secs(2).try_into().unwrap());
    let ask = LeaseRequest { worker: "hand".into(), agents: vec!["mail".into()], max_leases, wait };
    loop {
        // After a restart of the queue the gateway has yet to find it again.
        let asked = patiently(ask.clone(), |request| {
            let mut queue = mesh.queue();
            async move { queue.lease(request).await }
        });
        let leases = asked.await.unwrap().leases;
        if !leases.is_empty() {
            return leases;
        }
    }
}

async fn fail(mesh: &Mesh, lease: &Lease, reason: &str) {
    let failure = Failure { reason: reason.into(), message: "as told".into(), retryable: true };
    let request = FailRequest { token: lease.token.clone(), failure: Some(failure), usage: None };
    mesh.queue().fail(request).await.unwrap();
}

fn id_of(lease: &Lease) -> &str {
    &lease.invocation.as_ref().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_line_asks_for_reaches_the_worker() {
    let mesh = start().await;
    let asked = [
        "--priority",
        "-7",
        "--label",
        "team=risk",
        "--label",
        "env=test",
        "--deadline",
        "1h",
        "--attempts",
        "3",
        "--backoff",
        "10ms",
        "--backoff-max",
        "2s",
        "--backoff-multiplier",
        "3",
        "--final-reason",
        "BAD_INPUT",
    ];
    let id = submit(&mesh, &asked).await;
    let shown = one(&mesh, &["get", &id]).await;
    assert_eq!((&shown["priority"], &shown["labels"]), (&json!(-7), &json!({"team": "risk", "env": "test"})));
    let policy = json!({
        "max_attempts": 3, "initial_backoff_ms": 10, "max_backoff_ms": 2_000, "backoff_multiplier": 3.0,
        "non_retryable_reasons": ["BAD_INPUT"],
    });
    assert_eq!(shown["retry_policy"], policy);
    assert!(shown["deadline"].is_string());

    let lease = leased(&mesh, 1).await.remove(0);
    let spec = lease.invocation.as_ref().unwrap().spec.clone().unwrap();
    assert_eq!((spec.priority, spec.labels.len(), spec.deadline.is_some()), (-7, 2, true));
    fail(&mesh, &lease, "BAD_INPUT").await;
    assert_eq!(one(&mesh, &["get", &id]).await["state"], "failed", "the reason is final");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_starts_by_priority_and_not_before_its_time() {
    let mesh = start().await;
    let later = submit(&mesh, &["--not-before", "1h"]).await;
    let plain = submit(&mesh, &[]).await;
    let urgent = submit(&mesh, &["--priority", "100"]).await;
    let leases = leased(&mesh, 10).await;
    assert_eq!(leases.iter().map(id_of).collect::<Vec<_>>(), [urgent.as_str(), &plain]);
    let shown = one(&mesh, &["get", &later]).await;
    assert_eq!(shown["state"], "queued");
    assert_eq!(shown["next_attempt_at"], shown["not_before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_and_redriven_and_keep_every_error() {
    let mut mesh = start().await;
    let risk = submit(&mesh, &["--label", "team=risk", "--attempts", "2", "--backoff", "1ms"]).await;
    let care = submit(&mesh, &["--label", "team=care", "--attempts", "1"]).await;
    for reason in ["FIRST", "SECOND", "THIRD"] {
        let lease = leased(&mesh, 1).await.remove(0);
        fail(&mesh, &lease, reason).await;
    }
    let (code, listed) = run(&mesh, &["list", "--state", "dead", "--label", "team=risk", "--since", "1h"]).await;
    assert_eq!((code, listed.len(), &listed[0]["id"]), (0, 1, &json!(risk)));
    let (_, listed) = run(&mesh, &["list", "--agent", "mail", "--until", "1h"]).await;
    assert!(listed.is_empty(), "nothing is so old");

    let dry = one(&mesh, &["redrive", "--label", "team=risk", "--dry-run"]).await;
    assert_eq!(dry, json!({"redriven": [risk], "refusals": [], "dry_run": true}));
    let done = one(&mesh, &["redrive", "--agent", "mail", "--state", "dead", "--since", "1h", "--limit", "10"]).await;
    let redriven: Vec<&str> = done["redriven"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(redriven.contains(&risk.as_str()) && redriven.contains(&care.as_str()) && redriven.len() == 2);
    // Once more: it waits now, and that is said.
    let (code, refused) = run(&mesh, &["redrive", &risk]).await;
    assert_eq!((code, &refused[0]["refusals"][0]["reason"]), (3, &json!("NOT_ENDED")));

    mesh.kill(Peer::Queue).await;
    mesh.restart(Peer::Queue).await;
    for _ in 0..2 {
        let lease = leased(&mesh, 1).await.remove(0);
        let done = CompleteRequest { token: lease.token, ..Default::default() };
        let done = patiently(done, |request| {
            let mut queue = mesh.queue();
            async move { queue.complete(request).await }
        });
        done.await.unwrap();
    }
    let shown = one(&mesh, &["get", &risk]).await;
    assert_eq!((&shown["state"], &shown["attempt"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(shown["past_ends"][0]["state"], "dead");
    let attempts = shown["failed_attempts"].as_array().unwrap().len();
    let (_, events) = run(&mesh, &["watch", &risk]).await;
    let offsets: Vec<u64> = events.iter().filter_map(|event| event["offset"].as_u64()).collect();
    assert_eq!(offsets, (1..=offsets.len() as u64).collect::<Vec<_>>());
    assert_eq!(events.iter().filter(|event| event["state"] == "dead").count(), 1);
    assert!(attempts >= 1, "{shown}");
    let text = mesh.command().args(["get", &risk]).output().await.unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("redriven") && text.contains("attempt 1 on hand"), "{text}");
}
