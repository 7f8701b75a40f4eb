use serde_json::json;

use crate::{
    mesh::{Mesh, result},
    models::{calls, says},
};

const AGENT: &str = r#"
[agents.clerk]
model = "scripted"
tools = ["echo", "strict", "stale", "broken", "unsure"]
"#;

#[tokio::test]
async fn a_models_mistakes_are_told_to_it_and_fail_nothing() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([
        calls(&[("echo", "{not JSON"), ("strict", "{}"), ("gate", "{}"), ("echo", "[1]"), ("echo", r#"{"n":1}"#)]),
        says("done"),
    ]);
    let _pool = mesh.pool().await;
    let ended = mesh.run("clerk", json!("go")).await;
    assert_eq!(result(&ended).0, b"done");
    let told = mesh.models.told();
    let errors: Vec<_> = told.iter().map(|told| told["error"].as_str().unwrap_or("none")).collect();
    assert_eq!(errors, ["BAD_ARGUMENTS", "BAD_ARGUMENTS", "UNKNOWN_TOOL", "BAD_ARGUMENTS", "none"]);
    assert!(told[1]["message"].as_str().is_some_and(|message| message.contains("\"id\" is required")), "{}", told[1]);
}

#[tokio::test]
async fn what_stands_in_for_a_tool_is_told_as_such() {
    let mesh = Mesh::start(AGENT).await;
    mesh.models.script([calls(&[("stale", "{}"), ("broken", "{}"), ("unsure", "{}")]), says("done")]);
    let _pool = mesh.pool().await;
    mesh.run("clerk", json!("go")).await;
    let told = mesh.models.told();
    let outcomes: Vec<_> = told.iter().map(|told| told["outcome"].as_str().unwrap_or("none")).collect();
    assert_eq!(outcomes, ["CACHED", "UNAVAILABLE", "UNKNOWN"]);
    assert_eq!((&told[0]["age_seconds"], &told[1]["content"]["advice"]), (&json!(60), &json!("ask a person")));
}

#[tokio::test]
async fn a_tool_that_no_message_can_hold_leaves_other_agents_at_work() {
    let agent = |name: &str, tool: &str| format!("[agents.{name}]\nmodel = \"scripted\"\ntools = [\"{tool}\"]\n");
    let mesh = Mesh::start(&(agent("clerk", "echo") + &agent("other", "huge"))).await;
    *mesh.tools.huge.lock() = Some(5 << 20);
    mesh.models.script([calls(&[("echo", "{}")]), says("done")]);
    let _pool = mesh.pool().await;
    assert_eq!(result(&mesh.run("clerk", json!("go")).await).0, b"done");
}
