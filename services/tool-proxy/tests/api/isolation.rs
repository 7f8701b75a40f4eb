//! A tool's places and its line: bounded in all and for each tenant, and no tenant in another's way.

use std::sync::Arc;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use holdfast_proto::tool::v1::Outcome;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};

use crate::harness::{Harness, tool};
use crate::tool_server::Does;

async fn one_place(more: &str) -> (Harness, Arc<Semaphore>) {
    let more = format!("effect = \"read_only\"\nattempts = 1\nwait = \"60s\"\ntimeout = \"60s\"\n{more}");
    let mesh = Harness::start(|server| tool("slow", &server.url("/slow"), &more)).await;
    let gate = Arc::new(Semaphore::new(0));
    mesh.server.on("/slow", Does::Gate(gate.clone(), json!({})));
    (mesh, gate)
}

#[tokio::test]
async fn a_tenant_that_floods_a_tool_delays_another_by_one_call_at_most() {
    let (mesh, gate) = one_place("concurrency = 1\nwaiting_max = 50").await;
    let mut flood: FuturesUnordered<_> = (0..200).map(|_| mesh.call_of("flood", "slow")).collect();
    let (standing, stands) = oneshot::channel();
    let other = async {
        mesh.server.arrived("/slow", 1).await;
        let opened = async {
            stands.await.expect("it has a stand in the line");
            // The flood's call that is at the tool, one of the flood's that may be next, and this one.
            gate.add_permits(3);
        };
        let answer = tokio::join!(mesh.call_of("other", "slow"), opened).0.expect("it answers");
        assert_eq!(answer.outcome(), Outcome::Real, "{}", answer.degraded_reason);
    };
    let drained = async {
        // One is at the tool and fifty wait; then one of these makes room for the other tenant.
        for _ in 0..150 {
            let answer = flood.next().await.expect("200 were made").expect("it answers");
            assert_eq!(answer.degraded_reason, "OVERLOADED", "the line is bounded");
        }
        standing.send(()).expect("somebody waits for it");
        flood.by_ref().take(2).collect::<Vec<_>>().await
    };
    let ((), served) = tokio::join!(other, drained);
    assert!(served.into_iter().all(|answer| answer.expect("it answers").outcome() == Outcome::Real));
    mesh.server.arrived("/slow", 4).await;
}

#[tokio::test]
async fn a_tenants_share_of_the_places_and_of_the_line_is_all_that_it_gets() {
    let (mesh, gate) = one_place("concurrency = 3\ntenant_concurrency = 2\ntenant_waiting_max = 1").await;
    let mut flood: FuturesUnordered<_> = (0..10).map(|_| mesh.call_of("flood", "slow")).collect();
    for _ in 0..7 {
        let answer = flood.next().await.expect("ten were made").expect("it answers");
        assert_eq!(answer.degraded_reason, "OVERLOADED");
    }
    mesh.server.arrived("/slow", 2).await;
    assert_eq!(mesh.server.hits("/slow").len(), 2, "two places are the flood's, and one stand in the line");
    let other = async {
        let call = mesh.call_of("other", "slow");
        let opened = async {
            mesh.server.arrived("/slow", 3).await;
            gate.add_permits(4);
        };
        tokio::join!(call, opened).0.expect("it answers")
    };
    let (other, rest) = tokio::join!(other, flood.collect::<Vec<_>>());
    assert_eq!(other.outcome(), Outcome::Real, "the third place is for others");
    assert!(rest.into_iter().all(|answer| answer.expect("it answers").outcome() == Outcome::Real));
}

#[tokio::test]
async fn every_tool_has_its_own_places() {
    let more = "effect = \"read_only\"\nattempts = 1\nconcurrency = 1\nwaiting_max = 0\ntimeout = \"60s\"";
    let mesh =
        Harness::start(|server| ["a", "b"].map(|name| tool(name, &server.url(&format!("/{name}")), more)).concat())
            .await;
    let gate = Arc::new(Semaphore::new(0));
    for path in ["/a", "/b"] {
        mesh.server.on(path, Does::Gate(gate.clone(), json!({})));
    }
    let both = async {
        mesh.server.arrived("/a", 1).await;
        mesh.server.arrived("/b", 1).await;
        assert_eq!(mesh.call("a", json!({})).await.expect("it answers").degraded_reason, "OVERLOADED");
        gate.add_permits(2);
    };
    let (answers, ()) = tokio::join!(join_all(["a", "b"].map(|name| mesh.call(name, json!({})))), both);
    assert!(answers.into_iter().all(|answer| answer.expect("it answers").outcome() == Outcome::Real));
}

#[tokio::test]
async fn a_wait_for_a_place_is_told_with_the_answer() {
    let (mesh, gate) = one_place("concurrency = 1").await;
    let (first, second, ()) = tokio::join!(mesh.call("slow", json!({})), mesh.call("slow", json!({})), async {
        mesh.server.arrived("/slow", 1).await;
        gate.add_permits(1);
        mesh.server.arrived("/slow", 2).await;
        gate.add_permits(1);
    });
    let timings = [first, second].map(|answer| answer.expect("it answers").timing.expect("every answer has one"));
    let nothing = |span: &Option<prost_types::Duration>| span.is_none_or(|span| span == Default::default());
    assert!(timings.iter().all(|timing| timing.attempts == 1 && !nothing(&timing.called)), "{timings:?}");
    let waited: Vec<_> = timings.iter().filter(|timing| !nothing(&timing.waited)).collect();
    assert!(!waited.is_empty(), "one of them stood in the line: {timings:?}");
}
