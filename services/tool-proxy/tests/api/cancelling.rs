//! Callers who go away: their requests end at the tool, and their places, stands and probes are free at once.

use std::sync::Arc;

use futures::future::join_all;
use holdfast_proto::tool::v1::{CallToolRequest, CallToolResponse, CircuitState, Outcome};
use holdfast_rpc::client;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::{Request, Status};

use crate::harness::{Harness, request, tool};
use crate::tool_server::Does;

/// A call that can be cut off.
pub(crate) fn begin(mesh: &Harness, request: Request<CallToolRequest>) -> JoinHandle<Result<CallToolResponse, Status>> {
    let mut client = mesh.tools.clone();
    tokio::spawn(async move { client.call_tool(request).await.map(tonic::Response::into_inner) })
}

/// The tool "slow" with one place and a line of three, what lets its calls end, and the call that has the place.
pub(crate) async fn occupied() -> (Harness, Arc<Semaphore>, JoinHandle<Result<CallToolResponse, Status>>) {
    let more = "effect = \"read_only\"\ntimeout = \"60s\"\nwait = \"60s\"\nconcurrency = 1\nwaiting_max = 3";
    let mesh = Harness::start(|server| tool("slow", &server.url("/slow"), more)).await;
    let gate = Arc::new(Semaphore::new(0));
    mesh.server.on("/slow", Does::Gate(gate.clone(), json!({})));
    let first = begin(&mesh, slow());
    mesh.server.arrived("/slow", 1).await;
    (mesh, gate, first)
}

/// A call of that tool.
pub(crate) fn slow() -> Request<CallToolRequest> {
    Request::new(request("slow", &json!({})))
}

/// Waits until so many stand in line for it.
pub(crate) async fn in_line(mesh: &Harness, calls: f64) {
    while mesh.metric("holdfast_tool_waiting{tool=\"slow\"}") != calls {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_that_may_be_repeated_ends_at_the_tool_when_its_caller_goes_away() {
    let mesh = Harness::start(|server| {
        let one = |effect: &str| {
            let more = format!("effect = \"{effect}\"\ntimeout = \"60s\"\nconcurrency = 4\nwaiting_max = 0");
            tool(effect, &server.url(&format!("/{effect}")), &more)
        };
        ["read_only", "idempotent"].map(one).concat()
    })
    .await;
    let mut gone = 0;
    for (step, effect) in (1..).zip(["read_only", "idempotent"]) {
        let path = format!("/{effect}");
        mesh.server.on(&path, Does::Hang);
        let lease = mesh.lease("inv", 10);
        let under_lease = |index| {
            let call = CallToolRequest { step, index, ..request(effect, &json!({})) };
            client::with_lease(Request::new(call), &lease).expect("plain")
        };
        let calls = (0..4).map(|index| match index % 2 {
            0 => begin(&mesh, under_lease(index)),
            _ => begin(&mesh, Request::new(request(effect, &json!({})))),
        });
        let calls: Vec<_> = calls.collect();
        mesh.server.arrived(&path, 4).await;
        assert_eq!(mesh.call(effect, json!({})).await.expect("it answers").degraded_reason, "OVERLOADED");
        calls.iter().for_each(JoinHandle::abort);
        gone += 4;
        mesh.server.cut_off(gone).await;

        mesh.server.on(&path, Does::Answer(200, json!({})));
        let answers = join_all((0..4).map(|_| mesh.call(effect, json!({})))).await;
        assert!(
            answers.into_iter().all(|answer| answer.expect("it answers").outcome() == Outcome::Real),
            "all four places are free"
        );
        assert_eq!(mesh.circuit(effect).await.failures, 0, "nothing is held against the tool");
    }
}

#[tokio::test]
async fn those_who_go_away_leave_the_line() {
    let (mesh, gate, first) = occupied().await;
    let waiting: Vec<_> = (0..3).map(|_| begin(&mesh, slow())).collect();
    in_line(&mesh, 3.0).await;
    assert_eq!(mesh.call("slow", json!({})).await.expect("it answers").degraded_reason, "OVERLOADED");
    waiting.iter().for_each(JoinHandle::abort);
    in_line(&mesh, 0.0).await;
    let last = begin(&mesh, slow());
    gate.add_permits(2);
    for call in [first, last] {
        assert_eq!(call.await.expect("no panic").expect("it answers").outcome(), Outcome::Real);
    }
    assert_eq!(mesh.server.hits("/slow").len(), 2, "none of those who left was sent");
}

#[tokio::test]
async fn a_probe_whose_caller_goes_away_is_free_for_the_next() {
    let more = "effect = \"read_only\"\nattempts = 1\ntimeout = \"60s\"\n\
                breaker = { minimum_calls = 2, open = \"40ms\", open_max = \"40ms\", jitter_percent = 0, probes = 1 }";
    let mesh = Harness::start(|server| tool("bad", &server.url("/bad"), more)).await;
    mesh.server.on("/bad", Does::Answer(500, json!({})));
    join_all((0..2).map(|_| mesh.call("bad", json!({})))).await;
    assert_eq!(mesh.circuit("bad").await.state(), CircuitState::Open);
    let failed = mesh.server.hits("/bad").len();
    mesh.server.on("/bad", Does::Hang);
    while mesh.circuit("bad").await.retry_after.is_some_and(|left| left != Default::default()) {
        tokio::task::yield_now().await;
    }
    for round in 1..=5 {
        let probe = begin(&mesh, Request::new(request("bad", &json!({}))));
        mesh.server.arrived("/bad", failed + round).await;
        let refused = mesh.call("bad", json!({})).await.expect("it answers");
        assert_eq!(refused.degraded_reason, "CIRCUIT_OPEN", "there is one probe, and it is out");
        probe.abort();
        mesh.server.cut_off(round).await;
    }
    mesh.server.on("/bad", Does::Answer(200, json!({})));
    while mesh.circuit("bad").await.state() != CircuitState::Closed {
        mesh.call("bad", json!({})).await.expect("it answers");
    }
}
