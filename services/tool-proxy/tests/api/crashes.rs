//! Effectful calls whose proxy, caller or state service goes away in the middle.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use holdfast_proto::tool::v1::{CallToolResponse, Outcome};
use holdfast_rpc::{client, status};
use holdfast_testkit::Fault;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};

use crate::cancelling::begin;
use crate::effects::one_of_each;
use crate::harness::{Harness, content, request, tool};
use crate::tool_server::Does;

#[tokio::test]
async fn an_effectful_call_that_a_crash_cut_off_is_not_sent_again_and_its_outcome_is_told_as_unknown() {
    let mut mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    mesh.server.on("/effectful", Does::Hang);
    let client = mesh.tools.clone();
    let cut_off = client::with_lease(Request::new(request("effectful", &json!({}))), &lease).expect("plain");
    let call = tokio::spawn(async move { client.clone().call_tool(cut_off).await });
    mesh.server.arrived("/effectful", 1).await;
    let record = mesh.record("inv", "0.0").await.expect("the intent came first");
    assert!(record["intent"].is_object() && record["answer"].is_null());
    mesh.crash().await;
    assert!(call.await.expect("no panic").is_err());

    mesh.server.on("/effectful", Does::Answer(200, json!({})));
    let next_worker = mesh.lease("inv", 11);
    let started = tokio::time::Instant::now();
    let repeat = mesh.step(&next_worker, 0, "effectful", json!({})).await.expect("it answers");
    assert_eq!((repeat.outcome(), repeat.degraded_reason.as_str()), (Outcome::Unknown, "OUTCOME_LOST"));
    assert!(started.elapsed() > Duration::from_millis(400), "the call may still have been under way");
    let again = mesh.step(&next_worker, 0, "effectful", json!({})).await.expect("it answers");
    assert_eq!((again.outcome(), again.replayed), (Outcome::Unknown, true));
    assert_eq!(mesh.server.hits("/effectful").len(), 1);
}

#[tokio::test]
async fn an_effectful_call_outlasts_its_caller_and_its_result_is_there_for_the_repeat() {
    let mesh = Harness::start(|server| tool("pay", &server.url("/pay"), "timeout = \"60s\"")).await;
    let lease = mesh.lease("inv", 10);
    let gate = Arc::new(Semaphore::new(0));
    mesh.server.on("/pay", Does::Gate(gate.clone(), json!({"done": true})));
    let mut hasty = client::with_lease(Request::new(request("pay", &json!({}))), &lease).expect("plain");
    hasty.set_timeout(Duration::from_secs(2));
    let (late, ()) = join(mesh.send(hasty), mesh.server.arrived("/pay", 1)).await;
    let late = late.expect_err("the deadline comes first");
    assert!(late.code() == Code::DeadlineExceeded && status::may_have_happened(&late), "{late:?}");

    let (repeat, ()) = join(mesh.step(&lease, 0, "pay", json!({})), async { gate.add_permits(1) }).await;
    let repeat = repeat.expect("it answers");
    assert_eq!((content(&repeat), repeat.replayed), (json!({"done": true}), true));
    assert_eq!(mesh.server.hits("/pay").len(), 1);
}

/// A tool with one place, which is taken until the gate opens.
async fn crowded(mesh: &Harness, gate: &Arc<Semaphore>) -> JoinHandle<Result<CallToolResponse, Status>> {
    mesh.server.on("/pay", Does::Gate(gate.clone(), json!({})));
    let holding = begin(mesh, Request::new(request("pay", &json!({}))));
    mesh.server.arrived("/pay", 1).await;
    holding
}

const ONE_PLACE: &str = "timeout = \"60s\"\nconcurrency = 1\nwait = \"60s\"";

#[tokio::test]
async fn an_effectful_call_whose_caller_leaves_the_line_is_not_sent_and_leaves_no_intent() {
    let mesh = Harness::start(|server| tool("pay", &server.url("/pay"), ONE_PLACE)).await;
    let (lease, gate) = (mesh.lease("inv", 10), Arc::new(Semaphore::new(0)));
    let holding = crowded(&mesh, &gate).await;
    let waiting = client::with_lease(Request::new(request("pay", &json!({}))), &lease).expect("plain");
    let waiting = begin(&mesh, waiting);
    let in_line = async |count: f64| {
        while mesh.metric("holdfast_tool_waiting{tool=\"pay\"}") != count {
            tokio::task::yield_now().await;
        }
    };
    in_line(1.0).await;
    waiting.abort();
    in_line(0.0).await;
    gate.add_permits(1);
    holding.await.expect("no panic").expect("it answers");
    assert_eq!(mesh.server.hits("/pay").len(), 1);
    assert!(mesh.record("inv", "0.0").await.is_none(), "nothing says that it was about to be sent");

    mesh.server.on("/pay", Does::Answer(200, json!({"paid": 1})));
    let repeat = mesh.step(&lease, 0, "pay", json!({})).await.expect("it answers");
    assert_eq!((content(&repeat), repeat.replayed), (json!({"paid": 1}), false));
}

#[tokio::test]
async fn an_effectful_call_with_too_little_time_for_the_line_gets_the_fallback_in_time() {
    let mesh = Harness::start(|server| tool("pay", &server.url("/pay"), ONE_PLACE)).await;
    let (lease, gate) = (mesh.lease("inv", 10), Arc::new(Semaphore::new(0)));
    let holding = crowded(&mesh, &gate).await;
    let mut hasty = client::with_lease(Request::new(request("pay", &json!({}))), &lease).expect("plain");
    hasty.set_timeout(Duration::from_secs(8));
    let answer = mesh.send(hasty).await.expect("before the deadline");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "OVERLOADED"));
    gate.add_permits(1);
    holding.await.expect("no panic").expect("it answers");
    assert_eq!(mesh.server.hits("/pay").len(), 1);
}

#[tokio::test]
async fn a_slow_state_service_does_not_shorten_what_an_intent_allows_for() {
    let mesh = Harness::start(|server| tool("pay", &server.url("/pay"), "timeout = \"30s\"")).await;
    let (lease, gate) = (mesh.lease("inv", 10), Arc::new(Semaphore::new(0)));
    mesh.server.on("/pay", Does::Gate(gate.clone(), json!({})));
    let patience = async |step: u32| {
        let record = mesh.record("inv", &format!("{step}.0")).await.expect("the intent came first");
        record["intent"]["patience_ms"].as_u64().expect("a number")
    };
    let told = async |step: u32, delay: Fault| {
        mesh.state_link.set(delay);
        let call = mesh.step(&lease, step, "pay", json!({}));
        let (answer, told) = join(call, async {
            mesh.server.arrived("/pay", step as usize).await;
            let told = patience(step).await;
            mesh.state_link.set(Fault::None);
            gate.add_permits(1);
            told
        })
        .await;
        assert_eq!(answer.expect("it answers").outcome(), Outcome::Real);
        told
    };
    // There and back the delay counts twice.
    let (quick, slow) = (told(1, Fault::None).await, told(2, Fault::Delay(Duration::from_millis(700))).await);
    assert!(slow >= quick + 10_000, "{slow} ms are no more than {quick} ms and twice the time for the state service");
}

#[tokio::test]
async fn a_drain_waits_for_the_result_of_an_effectful_call_whose_caller_is_gone() {
    let mut mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    let gate = Arc::new(Semaphore::new(0));
    mesh.server.on("/effectful", Does::Gate(gate.clone(), json!({"done": true})));
    let mut client = mesh.tools.clone();
    let under_lease = client::with_lease(Request::new(request("effectful", &json!({}))), &lease).expect("plain");
    let gone = tokio::spawn(async move { client.call_tool(under_lease).await });
    mesh.server.arrived("/effectful", 1).await;
    gone.abort();
    join(mesh.drain(), async { gate.add_permits(1) }).await;
    let record = mesh.record("inv", "0.0").await.expect("it is recorded");
    assert_eq!(record["answer"]["outcome"], "real");
}

#[tokio::test]
async fn a_truth_that_comes_late_is_attached_and_the_first_answer_stays() {
    let more = "timeout = \"60s\"\nbreaker = { minimum_calls = 1000 }";
    let mesh = Harness::start(|server| tool("pay", &server.url("/pay"), more)).await;
    let lease = mesh.lease("inv", 10);
    let gate = Arc::new(Semaphore::new(0));
    mesh.server.on("/pay", Does::Gate(gate.clone(), json!({"paid": true})));
    let late = async {
        mesh.server.arrived("/pay", 1).await;
        // Another proxy, whose clock is far ahead, has given the call up.
        mesh.give_up("inv", "0.0").await;
        gate.add_permits(1);
    };
    let (answer, ()) = join(mesh.step(&lease, 0, "pay", json!({})), late).await;
    assert_eq!(answer.expect("it answers").outcome(), Outcome::Unknown);
    let record = mesh.record("inv", "0.0").await.expect("it is recorded");
    assert_eq!(record["answer"]["outcome"], "unknown");
    assert_eq!(record["later_truth"]["outcome"], "real");
    assert_eq!(mesh.step(&lease, 0, "pay", json!({})).await.expect("it answers").outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_reply_of_the_state_service_that_is_lost_does_no_harm() {
    let mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    let gate = Arc::new(Semaphore::new(0));
    mesh.server.on("/effectful", Does::Gate(gate.clone(), json!({"done": 1})));
    let (answer, ()) = join(mesh.step(&lease, 0, "effectful", json!({})), async {
        mesh.server.arrived("/effectful", 1).await;
        // The result's write will be taken, and its reply lost.
        mesh.state_link.set(Fault::LoseReply);
        gate.add_permits(1);
        while mesh.record("inv", "0.0").await.is_none_or(|record| record["answer"].is_null()) {
            tokio::task::yield_now().await;
        }
        mesh.state_link.set(Fault::None);
    })
    .await;
    let answer = answer.expect("it answers");
    assert_eq!((content(&answer), answer.replayed), (json!({"done": 1}), false));
}

#[tokio::test]
async fn without_the_state_service_nothing_that_needs_a_record_is_sent() {
    let mesh = one_of_each().await;
    let lease = mesh.lease("inv", 10);
    mesh.state_link.set(Fault::Refuse);
    for (step, effect) in (1..).zip(["read_only", "idempotent", "effectful"]) {
        mesh.server.on(&format!("/{effect}"), Does::Answer(200, json!({})));
        let refused = mesh.step(&lease, step, effect, json!({})).await.expect_err("it cannot be recorded");
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(status::retry_after(&refused).is_some_and(|wait| !wait.is_zero()));
        assert!(!status::may_have_happened(&refused), "{refused:?}");
        assert!(mesh.server.hits(&format!("/{effect}")).is_empty());
    }
    let alone = mesh.call("effectful", json!({})).await.expect("a call of its own needs no record");
    assert_eq!(alone.outcome(), Outcome::Real);
    mesh.state_link.set(Fault::None);
    mesh.step(&lease, 1, "read_only", json!({})).await.expect("it heals by itself");
}
