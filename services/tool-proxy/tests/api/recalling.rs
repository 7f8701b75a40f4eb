//! What is recorded of a call outlives its tool.

use holdfast_proto::tool::v1::{CallToolRequest, Outcome};
use holdfast_rpc::{client, status};
use serde_json::json;
use tonic::{Code, Request};

use crate::harness::{Harness, content, request, tool};
use crate::tool_server::Does;

async fn mesh() -> Harness {
    let more = "effect = \"read_only\"\nagents = [\"desk\"]";
    let mesh = Harness::start(|server| tool("find", &server.url("/find"), more)).await;
    mesh.server.on("/find", Does::Answer(200, json!({"n": 1})));
    mesh
}

#[tokio::test]
async fn what_a_tool_said_that_is_gone_is_told_to_its_invocation_and_to_operators_alone() {
    let mut mesh = mesh().await;
    let lease = mesh.lease("one", 10);
    mesh.step(&lease, 1, "find", json!({})).await.expect("it is for it");
    mesh.keyed("k", "find", json!({})).await.expect("the mesh itself may");
    mesh.reconfigure(|config| config.tools.clear()).await;
    let keyed = |role: &'static str| {
        let call = CallToolRequest { idempotency_key: "k".into(), ..request("find", &json!({})) };
        let mut call = client::for_tenant(Request::new(call), "acme").expect("plain");
        call.metadata_mut().insert("holdfast-role", role.parse().expect("plain ASCII"));
        mesh.send(call)
    };
    assert_eq!(keyed("caller").await.expect_err("nobody knows whose it was").code(), Code::NotFound);
    assert!(keyed("operator").await.expect("it looks after the tools").replayed);
    let repeat = mesh.step(&lease, 1, "find", json!({})).await.expect("it made the call");
    assert_eq!((repeat.outcome(), repeat.replayed, content(&repeat)), (Outcome::Real, true, json!({"n": 1})));
    assert_eq!(mesh.server.hits("/find").len(), 2);
}

#[tokio::test]
async fn what_a_tool_said_before_it_wanted_more_arguments_is_told_all_the_same() {
    let mut mesh = mesh().await;
    let lease = mesh.lease("one", 10);
    mesh.step(&lease, 1, "find", json!({})).await.expect("it is for it");
    mesh.reconfigure(|config| {
        let tool = config.tools.get_mut("find").expect("it is configured");
        tool.url.push_str("/{id}");
        tool.schema = Some(json!({"type": "object", "properties": {"id": {}}}).to_string());
    })
    .await;
    let repeat = mesh.step(&lease, 1, "find", json!({})).await.expect("it is recorded");
    assert_eq!((repeat.replayed, content(&repeat)), (true, json!({"n": 1})));
    let refused = mesh.step(&lease, 2, "find", json!({})).await.expect_err("it is not recorded");
    assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some("arguments/id")));
}

#[tokio::test]
async fn a_name_that_no_tool_can_have_is_not_repeated_to_anybody() {
    let mesh = mesh().await;
    let refused = mesh.call(&"n".repeat(10_000), json!({})).await.expect_err("no tool is called so");
    assert_eq!((refused.code(), status::field(&refused).as_deref()), (Code::InvalidArgument, Some("tool")));
    assert!(refused.message().len() < 100, "{} bytes", refused.message().len());
}
