use std::{sync::atomic::Ordering, time::Duration};

use holdfast_sdk::proto::tool::v1::CallToolRequest;
use holdfast_sdk::{Client, Context, Json, Outcome, Worker};
use serde_json::json;

use crate::{
    standin::{Mesh, Submission, queue::End},
    worker::Running,
};

fn caller(mesh: &Mesh) -> Worker {
    Worker::new(mesh.url()).tool_patience(Duration::from_millis(100)).agent(
        "call",
        |ctx: Context, input: Json| async move {
            let first = ctx.call_tool("echo", &input, 1, 0).await?;
            let again = ctx.call_tool("echo", &input, 1, 0).await?;
            let outcome = match first.outcome {
                Outcome::Real => "real",
                Outcome::Unavailable => "unavailable",
                Outcome::Unknown => "unknown",
                _ => "something else",
            };
            Ok(json!({ "outcome": outcome, "content": first.json(), "replayed": again.replayed }))
        },
    )
}

async fn answer(mesh: &Mesh, id: &str) -> Json {
    let End::Completed(done) = mesh.queue.end(id).await else { panic!("it succeeds") };
    serde_json::from_slice(&done.result.expect("a result").data).expect("JSON")
}

#[tokio::test]
async fn a_call_carries_the_lease_and_its_repeat_gets_the_recorded_answer() {
    let mesh = Mesh::start().await;
    let _running = Running::start(caller(&mesh));
    let id = mesh.queue.submit(Submission { agent: "call", input: r#"{"n":1}"#, ..Default::default() });
    assert_eq!(answer(&mesh, &id).await, json!({ "outcome": "real", "content": { "n": 1 }, "replayed": true }));
    assert_eq!(mesh.tools.sent.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_tool_proxy_that_stays_away_is_told_to_the_agent() {
    let mesh = Mesh::start().await;
    mesh.tools.away.store(true, Ordering::SeqCst);
    let _running = Running::start(caller(&mesh));
    let id = mesh.queue.submit(Submission { agent: "call", input: "{}", ..Default::default() });
    let answer = answer(&mesh, &id).await;
    assert_eq!(
        (&answer["outcome"], &answer["content"]["error"]),
        (&json!("unavailable"), &json!("TOOL_PROXY_UNAVAILABLE"))
    );
}

#[tokio::test]
async fn a_call_that_broke_before_the_tool_proxy_was_full_may_have_happened() {
    let mesh = Mesh::start().await;
    mesh.tools.lose_answers.store(1, Ordering::SeqCst);
    mesh.tools.full.store(u32::MAX, Ordering::SeqCst);
    let _running = Running::start(caller(&mesh));
    let id = mesh.queue.submit(Submission { agent: "call", input: "{}", ..Default::default() });
    assert_eq!(answer(&mesh, &id).await["outcome"], "unknown", "the agent must not send it again");
    assert_eq!(mesh.tools.sent.load(Ordering::SeqCst), 1);
}

/// A call by hand.
fn by_hand(key: &str) -> CallToolRequest {
    CallToolRequest { tool: "echo".into(), arguments: "{}".into(), idempotency_key: key.into(), ..Default::default() }
}

#[tokio::test]
async fn a_call_by_hand_waits_for_a_tool_proxy_that_is_full_and_is_sent_once() {
    let mesh = Mesh::start().await;
    mesh.tools.full.store(3, Ordering::SeqCst);
    let tools = Client::connect(&mesh.url(), "").expect("well-formed").tools();
    tools.call(by_hand("")).await.expect("there is room at the fourth try");
    assert_eq!(mesh.tools.sent.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_by_hand_whose_answer_is_lost_is_asked_again_under_its_key_and_not_without_one() {
    let mesh = Mesh::start().await;
    let tools = Client::connect(&mesh.url(), "").expect("well-formed").tools();
    mesh.tools.lose_answers.store(1, Ordering::SeqCst);
    let lost = tools.call(by_hand("")).await.expect_err("it is not known what it did");
    assert!(lost.may_have_happened(), "{lost}");
    assert_eq!(mesh.tools.sent.load(Ordering::SeqCst), 1, "it was not sent again");
    mesh.tools.lose_answers.store(1, Ordering::SeqCst);
    tools.call(by_hand("k")).await.expect("the second try is answered");
    assert_eq!(mesh.tools.sent.load(Ordering::SeqCst), 3);
}
