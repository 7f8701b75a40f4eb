use holdfast_proto::queue::v1::{InvocationState, Usage};
use holdfast_sdk::state::Address;
use serde_json::{Value as Json, json};

use crate::{
    mesh::{Mesh, result},
    models::{calls, says},
};

const AGENT: &str = "[agents.clerk]\nmodel = \"scripted\"\ntools = [\"echo\", \"gate\"]\n";

#[tokio::test]
async fn another_worker_goes_on_from_the_last_recorded_step_and_repeats_none() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([calls(&[("echo", r#"{"n":1}"#)]), says("done")]);
    *mesh.models.hang_at.lock() = Some(1);
    let first = mesh.pool().await;
    let id = mesh.submit("clerk", json!("go")).await;
    // The model was asked for the second step: the first is recorded.
    mesh.models.asked_times(2).await;
    first.crash().await;
    *mesh.models.hang_at.lock() = None;

    let _second = mesh.pool().await;
    let (ended, _) = mesh.ended(&id).await;

    assert_eq!(result(&ended).0, b"done");
    let asked: Vec<_> = mesh.models.asked().iter().map(|asked| asked.messages.len()).collect();
    assert_eq!(asked, [1, 3, 3], "the first step is asked once, the interrupted one again");
    assert_eq!(mesh.tools.sent(), [("echo".to_owned(), 1, 0)]);
    assert_eq!(ended.usage, Some(Usage { input_tokens: 20, output_tokens: 10 }), "over all attempts");
    assert_eq!(ended.lost_leases, 1);
}

#[tokio::test]
async fn a_models_answer_is_recorded_before_its_calls_start() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([calls(&[("gate", "{}")]), says("done")]);
    let first = mesh.pool().await;
    let id = mesh.submit("clerk", json!("go")).await;
    mesh.tools.sent_times(1).await;

    let record = mesh.state().get(&Address::new("holdfast.steps", &id, "000001")).await.expect("reachable");
    let step: Json = record.expect("recorded").json().expect("JSON");
    assert_eq!(step["result"]["calls"][0]["tool"], "gate");

    first.crash().await;
    mesh.tools.gate.add_permits(1);
    let _second = mesh.pool().await;
    let (ended, _) = mesh.ended(&id).await;
    assert_eq!(result(&ended).0, b"done");
    assert_eq!(mesh.models.asked().len(), 2, "the model is not asked again for what it said");
}

#[tokio::test]
async fn a_pool_that_is_shut_down_hands_its_work_back() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([calls(&[("gate", "{}")]), says("done")]);
    let first = mesh.pool().await;
    let id = mesh.submit("clerk", json!("go")).await;
    mesh.tools.sent_times(1).await;
    first.shut_down().await;
    mesh.tools.gate.add_permits(1);

    let _second = mesh.pool().await;
    let (ended, _) = mesh.ended(&id).await;
    assert_eq!((ended.state(), ended.lost_leases), (InvocationState::Succeeded, 0));
    assert!(ended.failed_attempts.is_empty(), "a shutdown of ours costs the caller nothing");
}
