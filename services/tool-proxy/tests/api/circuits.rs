//! Circuits by hand, those of hosts, and what outlasts a restart, where nothing is shared.

use std::time::Duration;

use futures::future::join_all;
use holdfast_proto::tool::v1::{
    CircuitKind, CircuitMode, CircuitState, Outcome, SetCircuitRequest, WatchCircuitsRequest,
};
use holdfast_rpc::{Caller, Role, client};
use holdfast_testkit::Fault;
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::harness::{Harness, tool};
use crate::tool_server::Does;

const LASTING: &str = "effect = \"read_only\"\nattempts = 1\n\
                       breaker = { minimum_calls = 4, open = \"1h\", open_max = \"1h\", probes = 2 }";

async fn one() -> Harness {
    let mesh = Harness::start(|server| tool("bad", &server.url("/bad"), LASTING)).await;
    mesh.server.on("/bad", Does::Answer(200, json!({})));
    mesh
}

fn word(name: &str, mode: CircuitMode, reason: &str) -> SetCircuitRequest {
    SetCircuitRequest { name: name.into(), mode: mode.into(), reason: reason.into() }
}

fn as_role(role: Role, who: &str, request: SetCircuitRequest) -> Request<SetCircuitRequest> {
    let caller = Caller::of_tenant("acme", role, who);
    client::on_behalf(Request::new(request), &caller, None).expect("plain names")
}

/// The standing of a circuit as it is kept.
async fn kept(mesh: &Harness, name: &str, so: impl Fn(&Value) -> bool) -> Value {
    loop {
        if let Some(standing) = mesh.kept("holdfast.circuits", name, "standing").await.filter(&so) {
            return standing;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_operator_opens_closes_and_releases_a_circuit_and_whoever_watches_is_told() {
    let mesh = one().await;
    let mut tools = mesh.tools.clone();
    let mut news = tools.watch_circuits(WatchCircuitsRequest {}).await.expect("it answers").into_inner();
    let mut next = async || loop {
        let circuit = news.message().await.expect("no error").and_then(|news| news.circuit).expect("more");
        if circuit.name == "bad" {
            return circuit;
        }
    };
    assert_eq!(next().await.mode(), CircuitMode::Auto);

    let open = as_role(Role::Operator, "ada", word("bad", CircuitMode::Open, "it loses orders"));
    let set = tools.set_circuit(open).await.expect("an operator may").into_inner().circuit.expect("as it stands");
    let told = next().await;
    for circuit in [&set, &told] {
        assert_eq!((circuit.state(), circuit.mode()), (CircuitState::Open, CircuitMode::Open));
        assert_eq!(
            (circuit.reason.as_str(), circuit.set_by.as_str()),
            ("opened by hand by ada: it loses orders", "ada")
        );
    }
    assert_eq!(mesh.call("bad", json!({})).await.expect("it answers").degraded_reason, "CIRCUIT_OPEN");
    assert_eq!(mesh.server.connections(), 0, "no socket is opened");

    mesh.server.on("/bad", Does::Answer(500, json!({})));
    tools.set_circuit(word("bad", CircuitMode::Closed, "")).await.expect("the mesh may");
    assert_eq!(next().await.mode(), CircuitMode::Closed);
    join_all((0..20).map(|_| mesh.call("bad", json!({})))).await;
    assert_eq!(mesh.circuit("bad").await.state(), CircuitState::Closed, "whatever fails");
    assert_eq!(mesh.server.hits("/bad").len(), 20);

    tools.set_circuit(word("bad", CircuitMode::Auto, "over")).await.expect("the mesh may");
    let auto = next().await;
    assert_eq!((auto.mode(), auto.state()), (CircuitMode::Auto, CircuitState::Closed));
    join_all((0..4).map(|_| mesh.call("bad", json!({})))).await;
    assert_eq!(next().await.reason, "4 of 4 calls failed");
}

#[tokio::test]
async fn only_operators_set_circuits_and_what_is_not_there_is_named() {
    let mesh = one().await;
    let mut tools = mesh.tools.clone();
    for role in [Role::Caller, Role::Worker] {
        let refused = tools.set_circuit(as_role(role, "eve", word("bad", CircuitMode::Open, ""))).await;
        assert_eq!(refused.expect_err("not hers").code(), Code::PermissionDenied);
    }
    let absent = tools.set_circuit(word("gone", CircuitMode::Open, "")).await.expect_err("there is none");
    assert!(absent.code() == Code::NotFound && absent.message().contains("circuit \"gone\""), "{absent:?}");
    for wrong in [word("bad", CircuitMode::Unspecified, ""), word("bad", CircuitMode::Open, &"x".repeat(501))] {
        assert_eq!(tools.set_circuit(wrong).await.expect_err("it is wrong").code(), Code::InvalidArgument);
    }
    assert_eq!(mesh.circuit("bad").await.mode(), CircuitMode::Auto);
}

#[tokio::test]
async fn an_operators_word_that_cannot_be_kept_is_refused_and_not_in_force() {
    let mesh = one().await;
    mesh.state_link.set(Fault::Refuse);
    let refused = mesh.tools.clone().set_circuit(word("bad", CircuitMode::Open, "")).await.expect_err("it is not kept");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(mesh.circuit("bad").await.mode(), CircuitMode::Auto);
    assert_eq!(mesh.call("bad", json!({})).await.expect("it answers").outcome(), Outcome::Real);
}

#[tokio::test]
async fn an_open_circuit_stays_open_through_a_crash_for_what_was_left() {
    let mut mesh = one().await;
    mesh.server.on("/bad", Does::Answer(500, json!({})));
    join_all((0..4).map(|_| mesh.call("bad", json!({})))).await;
    kept(&mesh, "bad", |standing| standing["state"] == "open").await;
    let left = mesh.circuit("bad").await.retry_after.expect("what is left");
    mesh.crash().await;

    let circuit = mesh.circuit("bad").await;
    assert_eq!((circuit.state(), circuit.reason.as_str()), (CircuitState::Open, "4 of 4 calls failed"));
    let still = circuit.retry_after.expect("what is left");
    assert!(still.seconds <= left.seconds && still.seconds > left.seconds - 30, "{still:?} of {left:?}");
    assert_eq!(mesh.call("bad", json!({})).await.expect("it answers").degraded_reason, "CIRCUIT_OPEN");
    assert_eq!(mesh.server.hits("/bad").len(), 4);
}

#[tokio::test]
async fn a_process_that_ends_at_once_keeps_what_has_just_opened() {
    let mut mesh = one().await;
    mesh.server.on("/bad", Does::Answer(500, json!({})));
    mesh.state_link.set(Fault::Delay(Duration::from_millis(100)));
    join_all((0..4).map(|_| mesh.call("bad", json!({})))).await;
    mesh.drain().await;
    mesh.state_link.set(Fault::None);
    mesh.crash().await;
    assert_eq!(mesh.circuit("bad").await.state(), CircuitState::Open);
}

#[tokio::test]
async fn a_circuit_whose_open_time_passed_while_nobody_ran_begins_by_probing() {
    let quick = LASTING.replace("1h", "50ms");
    let mut mesh = Harness::start(|server| tool("bad", &server.url("/bad"), &quick)).await;
    mesh.server.on("/bad", Does::Answer(500, json!({})));
    join_all((0..4).map(|_| mesh.call("bad", json!({})))).await;
    kept(&mesh, "bad", |standing| standing["state"] == "open").await;
    mesh.crash().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    mesh.server.on("/bad", Does::Gate(gate.clone(), json!({})));
    while mesh.circuit("bad").await.retry_after.is_some_and(|left| left != Default::default()) {
        tokio::task::yield_now().await;
    }
    let (answers, ()) = tokio::join!(join_all((0..50).map(|_| mesh.call("bad", json!({})))), async {
        mesh.server.arrived("/bad", 4 + 2).await;
        gate.add_permits(100);
    });
    let real = answers.into_iter().filter(|answer| answer.as_ref().expect("it answers").outcome() == Outcome::Real);
    assert_eq!((real.count(), mesh.server.hits("/bad").len()), (2, 4 + 2), "two probes, and nothing else");
    kept(&mesh, "bad", |standing| standing["state"] == "closed").await;
    mesh.crash().await;
    assert_eq!(mesh.circuit("bad").await.state(), CircuitState::Closed);
}

#[tokio::test]
async fn an_operators_word_outlasts_a_crash() {
    let mut mesh = one().await;
    let open = as_role(Role::Operator, "ada", word("bad", CircuitMode::Open, "why"));
    mesh.tools.clone().set_circuit(open).await.expect("an operator may");
    mesh.crash().await;
    let circuit = mesh.circuit("bad").await;
    assert_eq!((circuit.mode(), circuit.reason.as_str()), (CircuitMode::Open, "opened by hand by ada: why"));
    assert_eq!(mesh.call("bad", json!({})).await.expect("it answers").degraded_reason, "CIRCUIT_OPEN");
    assert!(mesh.server.hits("/bad").is_empty());
}

#[tokio::test]
async fn a_host_that_takes_no_connection_is_left_alone_by_all_tools_on_it() {
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let host = dead.local_addr().expect("it is bound");
    drop(dead);
    let more = "effect = \"read_only\"\nattempts = 1\nbreaker = { minimum_calls = 1000 }";
    let config =
        tool("one", &format!("http://{host}/one"), more) + &tool("other", &format!("http://{host}/other"), more);
    let mesh = Harness::start(|_| config).await;
    for _ in 0..10 {
        assert_eq!(mesh.call("one", json!({})).await.expect("it answers").degraded_reason, "CONNECT");
    }
    let circuit = mesh.circuit(&format!("host:{host}")).await;
    assert_eq!((circuit.state(), circuit.kind()), (CircuitState::Open, CircuitKind::Host));
    // Whoever listens there now would be reached, if anybody tried.
    let back = tokio::net::TcpListener::bind(host).await.expect("the port is still free");
    let other = mesh.call("other", json!({})).await.expect("it answers");
    assert_eq!(
        (other.degraded_reason.as_str(), mesh.circuit("other").await.state()),
        ("CIRCUIT_OPEN", CircuitState::Closed)
    );
    assert!(tokio::time::timeout(Duration::from_millis(20), back.accept()).await.is_err(), "no socket is opened");
}

#[tokio::test]
async fn a_host_is_not_judged_by_what_its_tools_fail() {
    let more = "effect = \"read_only\"\nattempts = 1\ntimeout = \"100ms\"\nconnect_timeout = \"100ms\"\n\
                breaker = { minimum_calls = 1000 }";
    let mesh = Harness::start(|server| {
        tool("fails", &server.url("/fails"), more) + &tool("hangs", &server.url("/hangs"), more)
    })
    .await;
    mesh.server.on("/fails", Does::Answer(500, json!({})));
    mesh.server.on("/hangs", Does::Hang);
    let host = format!("host:{}", mesh.server.url("").trim_start_matches("http://"));
    for name in ["fails", "hangs"] {
        join_all((0..16).map(|_| mesh.call(name, json!({})))).await;
        assert_eq!(mesh.circuit(name).await.failures, 16);
        let circuit = mesh.circuit(&host).await;
        assert_eq!((circuit.state(), circuit.failures), (CircuitState::Closed, 0), "after {name}");
    }
    mesh.server.on("/fails", Does::Answer(503, json!({})));
    join_all((0..16).map(|_| mesh.call("fails", json!({})))).await;
    assert_eq!(mesh.circuit(&host).await.state(), CircuitState::Open, "503 is the host's own");
}
