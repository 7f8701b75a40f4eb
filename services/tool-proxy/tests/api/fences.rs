//! Leases: a superseded worker starts no call.

use std::sync::Arc;

use holdfast_proto::tool::v1::{CallToolRequest, Outcome};
use holdfast_rpc::{client, status};
use serde_json::json;
use tokio::sync::Semaphore;
use tonic::{Code, Request};

use crate::harness::{Harness, request, tool};
use crate::raw_server::{RawServer, Says};
use crate::tool_server::Does;

async fn mesh() -> Harness {
    Harness::start(|server| {
        let one = |effect: &str| {
            let more = format!("effect = \"{effect}\"\nconcurrency = 1\nwait = \"60s\"");
            tool(effect, &server.url(&format!("/{effect}")), &more)
        };
        ["read_only", "idempotent", "effectful"].map(one).concat()
            + &tool("gone", "http://127.0.0.1:1/", "breaker = { minimum_calls = 1, open = \"1h\", open_max = \"1h\" }")
    })
    .await
}

fn sent(mesh: &Harness) -> usize {
    ["/read_only", "/idempotent", "/effectful"].iter().map(|path| mesh.server.hits(path).len()).sum()
}

#[tokio::test]
async fn a_superseded_worker_cannot_start_a_call() {
    let mesh = mesh().await;
    for path in ["/read_only", "/idempotent", "/effectful"] {
        mesh.server.on(path, Does::Answer(200, json!({})));
    }
    let (old, new) = (mesh.lease("inv", 10), mesh.lease("inv", 11));
    mesh.step(&old, 1, "read_only", json!({})).await.expect("it holds the lease");
    mesh.step(&new, 2, "read_only", json!({})).await.expect("its successor holds it now");
    let before = sent(&mesh);
    for (step, effect) in (3..).zip(["read_only", "idempotent", "effectful"]) {
        let refused = mesh.step(&old, step, effect, json!({})).await.expect_err("it is superseded");
        assert_eq!((refused.code(), status::reason(&refused).as_deref()), (Code::FailedPrecondition, Some("FENCED")));
        assert!(!status::may_have_happened(&refused));
    }
    assert_eq!(sent(&mesh), before);
}

#[tokio::test]
async fn a_worker_that_is_superseded_while_it_waits_for_a_place_does_not_get_through() {
    let mesh = mesh().await;
    let (old, new, other) = (mesh.lease("inv", 10), mesh.lease("inv", 11), mesh.lease("other", 10));
    mesh.server.on("/read_only", Does::Answer(200, json!({})));
    for (step, effect) in (3..).zip(["idempotent", "effectful"]) {
        let (path, gate) = (format!("/{effect}"), Arc::new(Semaphore::new(0)));
        mesh.server.on(&path, Does::Gate(gate.clone(), json!({})));
        let (holding, waiting, ()) = tokio::join!(
            mesh.step(&other, step, effect, json!({})),
            async {
                mesh.server.arrived(&path, 1).await;
                mesh.step(&old, step, effect, json!({})).await
            },
            async {
                mesh.server.arrived(&path, 1).await;
                mesh.step(&new, 2, "read_only", json!({})).await.expect("its successor works elsewhere");
                gate.add_permits(2);
            }
        );
        holding.expect("another invocation holds the place");
        let refused = waiting.expect_err("it was superseded while it waited");
        assert_eq!(status::reason(&refused).as_deref(), Some("FENCED"));
        assert_eq!(mesh.server.hits(&path).len(), 1);
    }
}

#[tokio::test]
async fn a_superseded_worker_leaves_no_record_of_a_fallback_either() {
    let mesh = mesh().await;
    assert_eq!(mesh.call("gone", json!({})).await.expect("it answers").degraded_reason, "CONNECT");
    assert_eq!(mesh.call("gone", json!({})).await.expect("it answers").degraded_reason, "CIRCUIT_OPEN");
    for path in ["/read_only", "/idempotent", "/effectful"] {
        mesh.server.on(path, Does::Answer(200, json!({})));
    }
    let (old, new) = (mesh.lease("inv", 10), mesh.lease("inv", 11));
    mesh.step(&new, 1, "read_only", json!({})).await.expect("the successor");
    let refused = mesh.step(&old, 2, "gone", json!({})).await.expect_err("it is superseded");
    assert_eq!(status::reason(&refused).as_deref(), Some("FENCED"));
    assert!(mesh.record("inv", "2.0").await.is_none());
    let answer = mesh.step(&new, 2, "gone", json!({})).await.expect("it answers");
    assert_eq!(answer.outcome(), Outcome::Unavailable);
    assert!(mesh.record("inv", "2.0").await.is_some());
}

#[tokio::test]
async fn a_worker_that_is_superseded_while_its_call_cannot_connect_leaves_no_answer() {
    let silent = RawServer::start(Says::Nothing).await;
    let mesh = Harness::start(|server| {
        // TLS is waited for: nothing has left until it stands.
        let wait = "timeout = \"60s\"\nattempts = 1\nconnect_timeout = \"2s\"";
        tool("effectful", &silent.url("https"), wait)
            + &tool("idempotent", &silent.url("https"), &format!("effect = \"idempotent\"\n{wait}"))
            + &tool("read_only", &server.url("/read_only"), "effect = \"read_only\"")
    })
    .await;
    mesh.server.on("/read_only", Does::Answer(200, json!({})));
    for (count, name) in (1..).zip(["effectful", "idempotent"]) {
        let (old, new) = (mesh.lease(name, 10), mesh.lease(name, 11));
        let (refused, ()) = tokio::join!(mesh.step(&old, 1, name, json!({})), async {
            silent.until(|seen| seen.spoken_to == count).await;
            mesh.step(&new, 2, "read_only", json!({})).await.expect("its successor works elsewhere");
        });
        let refused = refused.expect_err("it is superseded, and nothing has left");
        assert_eq!(status::reason(&refused).as_deref(), Some("FENCED"));
        assert!(!status::may_have_happened(&refused), "{refused:?}");
        let answer = mesh.record(name, "1.0").await.map(|record| record["answer"].clone());
        assert!(answer.is_none_or(|answer| answer.is_null()), "{name}");
    }
}

#[tokio::test]
async fn a_worker_without_a_lease_is_refused() {
    let mesh = mesh().await;
    let mut bare = Request::new(request("read_only", &json!({})));
    bare.metadata_mut().insert("holdfast-role", "worker".parse().expect("plain ASCII"));
    let refused = mesh.send(bare).await.expect_err("it has no lease");
    assert_eq!(
        (refused.code(), status::reason(&refused).as_deref()),
        (Code::FailedPrecondition, Some("LEASE_REQUIRED"))
    );
    let forged = mesh.lease("inv", 10).replace('.', "x.");
    let call = CallToolRequest { step: 1, ..request("read_only", &json!({})) };
    let refused = mesh.send(client::with_lease(Request::new(call), &forged).expect("plain")).await;
    assert_eq!(refused.expect_err("nobody signed it").code(), Code::Unauthenticated);
    assert_eq!(sent(&mesh), 0);
}

#[tokio::test]
async fn nothing_crosses_tenants() {
    let mesh = mesh().await;
    mesh.server.on(
        "/read_only",
        Does::First(Does::Answer(200, json!({"n": 1})).into(), Does::Answer(200, json!({"n": 2})).into()),
    );
    let keyed = async |tenant: &str| {
        let call = CallToolRequest { idempotency_key: "k".into(), ..request("read_only", &json!({})) };
        mesh.send(client::for_tenant(Request::new(call), tenant).expect("plain")).await.expect("it answers")
    };
    assert_eq!(crate::harness::content(&keyed("acme").await), json!({"n": 1}));
    assert_eq!(crate::harness::content(&keyed("other").await), json!({"n": 2}));
    assert!(keyed("acme").await.replayed);
}
