//! Effects: what is recorded, and what a repeat gets.

use std::sync::Arc;

use futures::future::join_all;
use holdfast_proto::tool::v1::{CallToolRequest, Outcome};
use holdfast_rpc::client;
use serde_json::json;
use tokio::sync::Semaphore;
use tonic::{Code, Request};

use crate::harness::{Harness, content, request, tool};
use crate::tool_server::Does;

const BRIEF: &str = "timeout = \"400ms\"\nconnect_timeout = \"400ms\"\nbreaker = { minimum_calls = 1000 }";

pub(crate) async fn one_of_each() -> Harness {
    Harness::start(|server| {
        ["read_only", "idempotent", "effectful"]
            .map(|effect| tool(effect, &server.url(&format!("/{effect}")), &format!("effect = \"{effect}\"\n{BRIEF}")))
            .concat()
    })
    .await
}

#[tokio::test]
async fn a_repeat_gets_the_recorded_result_whatever_the_effect_also_after_a_crash_of_the_proxy() {
    let mut mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    for (step, effect) in (1..).zip(["read_only", "idempotent", "effectful"]) {
        let path = format!("/{effect}");
        mesh.server.on(
            &path,
            Does::First(Does::Answer(200, json!({"n": 1})).into(), Does::Answer(200, json!({"n": 2})).into()),
        );
        let first = mesh.step(&lease, step, effect, json!({"a": 1, "b": 2})).await.expect("it answers");
        mesh.crash().await;
        let repeat = mesh.step(&lease, step, effect, json!({"b": 2, "a": 1})).await.expect("it answers");
        assert_eq!((content(&first), first.replayed), (json!({"n": 1}), false));
        assert_eq!((content(&repeat), repeat.replayed, repeat.outcome()), (json!({"n": 1}), true, Outcome::Real));
        assert_eq!(mesh.server.hits(&path).len(), 1);
    }
}

#[tokio::test]
async fn each_write_of_a_record_says_how_long_it_is_kept() {
    const KEPT: i64 = 9 * 24 * 3_600;
    let mesh = Harness::start(|server| {
        let paid = tool("pay", &server.url("/pay"), "effect = \"effectful\"");
        let found = tool("find", &server.url("/find"), "effect = \"read_only\"");
        format!("[tool_proxy]\nrecords_kept = \"9d\"\n{paid}{found}")
    })
    .await;
    let gate = Arc::new(Semaphore::new(0));
    mesh.server.on("/pay", Does::Gate(Arc::clone(&gate), json!({})));
    let lease = mesh.lease("inv", 10);
    let about = |seconds: Option<i64>| seconds.is_some_and(|seconds| (KEPT - 1..=KEPT + 1).contains(&seconds));
    let call = async {
        mesh.step(&lease, 1, "pay", json!({})).await.expect("it answers");
    };
    let look = async {
        mesh.server.arrived("/pay", 1).await;
        assert!(about(mesh.kept_for("inv", "1.0").await), "the intent");
        gate.add_permits(1);
    };
    tokio::join!(call, look);
    assert!(about(mesh.kept_for("inv", "1.0").await), "the result over it");
    mesh.server.on("/find", Does::Answer(200, json!({})));
    mesh.step(&lease, 2, "find", json!({})).await.expect("it answers");
    assert!(about(mesh.kept_for("inv", "2.0").await), "a result alone");
}

#[tokio::test]
async fn a_tools_own_error_and_a_fallback_are_recorded_too() {
    let mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    mesh.server.on("/read_only", Does::Answer(404, json!({"error": "none"})));
    mesh.server.on("/idempotent", Does::Break);
    let cases = [("read_only", Outcome::ToolError), ("idempotent", Outcome::Unavailable)];
    for (step, (name, outcome)) in (1..).zip(cases) {
        assert_eq!(mesh.step(&lease, step, name, json!({})).await.expect("it answers").outcome(), outcome);
        mesh.server.on(&format!("/{name}"), Does::Answer(200, json!({})));
        let repeat = mesh.step(&lease, step, name, json!({})).await.expect("it answers");
        assert_eq!((repeat.outcome(), repeat.replayed), (outcome, true));
    }
}

#[tokio::test]
async fn another_call_at_the_same_place_is_refused_and_not_sent() {
    let mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    for (step, effect) in (1..).zip(["read_only", "idempotent", "effectful"]) {
        let path = format!("/{effect}");
        mesh.server.on(&path, Does::Answer(200, json!({})));
        mesh.step(&lease, step, effect, json!({"a": 1})).await.expect("it answers");
        let refused = mesh.step(&lease, step, effect, json!({"a": 2})).await.expect_err("other arguments");
        assert_eq!(refused.code(), Code::AlreadyExists);
        let refused = mesh.keyed("k", effect, json!({})).await.map(|_| ());
        assert_eq!(refused.is_ok(), step == 1, "the key of the first tool is taken for the others");
        assert_eq!(mesh.server.hits(&path).len(), if step == 1 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_idempotent_tool_sees_one_key_for_all_attempts_and_repeats_of_a_call() {
    let mut mesh = Harness::start(|server| {
        let more = format!("effect = \"idempotent\"\nattempts = 3\n{BRIEF}");
        format!("[tool_proxy]\nretry_percent = 100\n{}", tool("pay", &server.url("/pay"), &more))
    })
    .await;
    let lease = mesh.lease("inv", 10);
    mesh.server.on("/pay", Does::First(Does::Answer(500, json!({})).into(), Does::Hang.into()));
    // The first attempt fails, the second hangs, and the proxy dies under it.
    let hanging = mesh.tools.clone();
    let request = client::with_lease(Request::new(CallToolRequest { step: 1, ..request("pay", &json!({})) }), &lease);
    let call = tokio::spawn(async move { hanging.clone().call_tool(request.expect("plain")).await });
    mesh.server.arrived("/pay", 2).await;
    mesh.crash().await;
    assert!(call.await.expect("no panic").is_err());
    mesh.server.on("/pay", Does::Answer(200, json!({"paid": 1})));
    let answer = mesh.step(&lease, 1, "pay", json!({})).await.expect("it answers");
    assert_eq!(content(&answer), json!({"paid": 1}));
    mesh.step(&lease, 2, "pay", json!({})).await.expect("it answers");

    let keys: Vec<_> = mesh.server.hits("/pay").iter().map(|hit| hit.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 4);
    assert!(!keys[0].is_empty() && keys[1] == keys[0] && keys[2] == keys[0], "{keys:?}");
    assert_ne!(keys[3], keys[0], "another step is another call");
}

#[tokio::test]
async fn a_fallback_for_an_effectful_call_that_never_left_is_recorded_over_its_intent() {
    let mesh = Harness::start(|_| tool("gone", "http://127.0.0.1:1/", "")).await;
    let lease = mesh.lease("inv", 10);
    let first = mesh.step(&lease, 0, "gone", json!({})).await.expect("it answers");
    assert_eq!(
        (first.outcome(), first.degraded_reason.as_str(), first.replayed),
        (Outcome::Unavailable, "CONNECT", false)
    );
    let record = mesh.record("inv", "0.0").await.expect("it is recorded");
    assert!(record["intent"].is_object() && record["answer"]["outcome"] == "unavailable");
    assert!(mesh.step(&lease, 0, "gone", json!({})).await.expect("it answers").replayed);
}

#[tokio::test]
async fn twenty_equal_calls_at_once_have_one_effect_and_one_answer() {
    let mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    mesh.server.on(
        "/effectful",
        Does::First(Does::Answer(200, json!({"n": 1})).into(), Does::Answer(200, json!({"n": 2})).into()),
    );
    let answers = join_all((0..20).map(|_| mesh.step(&lease, 0, "effectful", json!({})))).await;
    for answer in answers {
        assert_eq!(content(&answer.expect("it answers")), json!({"n": 1}));
    }
    assert_eq!(mesh.server.hits("/effectful").len(), 1);
}
