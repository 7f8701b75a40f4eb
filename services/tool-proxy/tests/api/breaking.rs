//! A tool that hangs or fails, and those who call it.

use std::time::Duration;

use futures::future::join_all;
use holdfast_proto::tool::v1::{CircuitState, Outcome, WatchCircuitsRequest};
use holdfast_testkit::Fault;
use serde_json::json;
use tonic::Request;

use crate::harness::{Harness, request, tool};
use crate::tool_server::Does;

const QUICK: &str = "effect = \"read_only\"\nattempts = 1\n\
                     breaker = { minimum_calls = 4, open = \"40ms\", open_max = \"40ms\", jitter_percent = 0, probes = 3 }";
const LASTING: &str = "effect = \"read_only\"\nattempts = 1\ntimeout = \"150ms\"\nconnect_timeout = \"150ms\"\n\
                       breaker = { minimum_calls = 4, open = \"1h\", open_max = \"1h\" }";

/// Calls until the circuit is open.
async fn trip(mesh: &Harness, name: &str) {
    join_all((0..4).map(|_| mesh.call(name, json!({})))).await;
    assert_eq!(mesh.circuit(name).await.state(), CircuitState::Open);
}

#[tokio::test]
async fn after_the_breaker_opens_a_hanging_tool_costs_its_callers_nothing_and_others_never_notice() {
    let mesh = Harness::start(|server| {
        tool("bad", &server.url("/bad"), LASTING) + &tool("good", &server.url("/good"), LASTING)
    })
    .await;
    mesh.server.on("/bad", Does::Hang);
    mesh.server.on("/good", Does::Answer(200, json!({})));
    trip(&mesh, "bad").await;
    let (reached, opened) = (mesh.server.hits("/bad").len(), mesh.server.connections());

    for _ in 0..50 {
        let bad = mesh.call("bad", json!({})).await.expect("it answers");
        assert_eq!((bad.outcome(), bad.degraded_reason.as_str()), (Outcome::Unavailable, "CIRCUIT_OPEN"));
    }
    assert_eq!(mesh.server.hits("/bad").len(), reached, "no call reaches it while the circuit is open");
    assert_eq!(mesh.server.connections(), opened, "and no socket is opened");
    for _ in 0..50 {
        let good = mesh.call("good", json!({})).await.expect("it answers");
        assert_eq!(good.outcome(), Outcome::Real);
    }
}

#[tokio::test]
async fn exactly_n_probes_pass_while_two_hundred_ask_and_the_circuit_closes_when_they_succeed() {
    let mesh = Harness::start(|server| tool("bad", &server.url("/bad"), QUICK)).await;
    mesh.server.on("/bad", Does::Answer(500, json!({})));
    trip(&mesh, "bad").await;
    let before = mesh.server.hits("/bad").len();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    mesh.server.on("/bad", Does::Gate(gate.clone(), json!({})));
    // The circuit's own news of time: nothing passes before its open time is over.
    while mesh.circuit("bad").await.retry_after.is_some_and(|left| left != Default::default()) {
        tokio::task::yield_now().await;
    }

    let callers = (0..200).map(|_| mesh.call("bad", json!({})));
    let (answers, ()) = tokio::join!(join_all(callers), async {
        mesh.server.arrived("/bad", before + 3).await;
        assert_eq!(mesh.circuit("bad").await.state(), CircuitState::HalfOpen);
        gate.add_permits(1_000);
    });

    let outcomes = answers.into_iter().map(|answer| answer.expect("it answers").outcome());
    let real = outcomes.filter(|outcome| *outcome == Outcome::Real).count();
    assert_eq!(mesh.server.hits("/bad").len(), before + 3, "exactly the probes reached the tool before it closed");
    assert_eq!(real, 3);
    assert_eq!(mesh.circuit("bad").await.state(), CircuitState::Closed);
}

#[tokio::test]
async fn watchers_are_told_each_change_with_its_reason() {
    let mesh = Harness::start(|server| tool("bad", &server.url("/bad"), QUICK)).await;
    let mut news = mesh.tools.clone().watch_circuits(WatchCircuitsRequest {}).await.expect("it answers").into_inner();
    let mut next = async || loop {
        // The host's circuit is told of, too.
        let circuit = news.message().await.expect("no error").and_then(|news| news.circuit).expect("more");
        if circuit.name == "bad" {
            return circuit;
        }
    };
    assert_eq!(next().await.state(), CircuitState::Closed);

    mesh.server.on("/bad", Does::Answer(503, json!({})));
    trip(&mesh, "bad").await;
    let open = next().await;
    assert_eq!((open.state(), open.reason.as_str()), (CircuitState::Open, "4 of 4 calls failed"));
    assert!(open.retry_after.is_some());

    mesh.server.on("/bad", Does::Answer(200, json!({})));
    while mesh.circuit("bad").await.state() != CircuitState::Closed {
        mesh.call("bad", json!({})).await.expect("it answers");
    }
    assert_eq!(next().await.reason, "the open time has passed");
    assert_eq!(next().await.reason, "every probe succeeded");
}

#[tokio::test]
async fn those_who_wait_for_a_place_at_a_hanging_tool_are_few_and_wait_briefly() {
    let more =
        "effect = \"read_only\"\nattempts = 1\ntimeout = \"60s\"\nconcurrency = 2\nwait = \"20ms\"\nwaiting_max = 3";
    let mesh = Harness::start(|server| tool("bad", &server.url("/bad"), more)).await;
    mesh.server.on("/bad", Does::Hang);
    let hanging = [mesh.call("bad", json!({})), mesh.call("bad", json!({}))].map(Box::pin);
    let rest = async {
        mesh.server.arrived("/bad", 2).await;
        join_all((0..20).map(|_| mesh.call("bad", json!({})))).await
    };
    let answers = match futures::future::select(join_all(hanging), Box::pin(rest)).await {
        futures::future::Either::Right((answers, _)) => answers,
        futures::future::Either::Left(_) => panic!("the tool hangs"),
    };
    for answer in answers {
        let answer = answer.expect("it answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "OVERLOADED"));
    }
    assert_eq!(mesh.server.hits("/bad").len(), 2);
}

#[tokio::test]
async fn a_call_that_stood_in_line_while_the_circuit_opened_is_not_sent() {
    let more = "concurrency = 1\nwait = \"60s\"\ntimeout = \"150ms\"\nconnect_timeout = \"150ms\"\n\
                effect = \"read_only\"\nattempts = 1\nbreaker = { minimum_calls = 1, open = \"1h\", open_max = \"1h\" }";
    let mesh = Harness::start(|server| tool("bad", &server.url("/bad"), more)).await;
    mesh.server.on("/bad", Does::Hang);
    let (first, second) = tokio::join!(mesh.call("bad", json!({})), mesh.call("bad", json!({})));
    let mut reasons = [first, second].map(|answer| answer.expect("it answers").degraded_reason);
    reasons.sort();
    assert_eq!(reasons, ["CIRCUIT_OPEN", "TIMEOUT"]);
    assert_eq!(mesh.server.hits("/bad").len(), 1);
}

#[tokio::test]
async fn a_caller_with_little_time_gets_the_fallback_in_time_and_no_circuit_opens_for_it() {
    let more = "effect = \"read_only\"\ntimeout = \"60s\"\nbreaker = { minimum_calls = 1 }";
    let mesh = Harness::start(|server| tool("slow", &server.url("/slow"), more)).await;
    mesh.server.on("/slow", Does::Hang);
    let mut hasty = Request::new(request("slow", &json!({})));
    hasty.set_timeout(Duration::from_secs(8));
    let answer = mesh.send(hasty).await.expect("before the deadline");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "TIMEOUT"));
    let circuit = mesh.circuit("slow").await;
    assert_eq!((circuit.state(), circuit.failures), (CircuitState::Closed, 0));
}

#[tokio::test]
async fn a_hanging_tool_is_found_out_though_every_caller_gives_up_early() {
    let more = "effect = \"read_only\"\ntimeout = \"4s\"\nbreaker = { minimum_calls = 1 }";
    let mesh = Harness::start(|server| tool("slow", &server.url("/slow"), more)).await;
    mesh.server.on("/slow", Does::Hang);
    let mut early = Request::new(request("slow", &json!({})));
    early.set_timeout(Duration::from_secs(3));
    // With the fallback in time, or on a busy machine a moment too late: the tool had more than half of its own time.
    let _ = mesh.send(early).await;
    while mesh.circuit("slow").await.state() != CircuitState::Open {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_to_a_failing_tool_stay_within_a_tenth_more_than_the_calls() {
    let more = "effect = \"read_only\"\nattempts = 3\nbreaker = { minimum_calls = 1000 }";
    let mesh = Harness::start(|server| tool("bad", &server.url("/bad"), more)).await;
    mesh.server.on("/bad", Does::Answer(500, json!({})));
    for _ in 0..5 {
        join_all((0..8).map(|_| mesh.call("bad", json!({})))).await;
    }
    let requests = mesh.server.hits("/bad").len();
    assert!((41..=44).contains(&requests), "{requests} requests for 40 calls");
}

#[tokio::test]
async fn a_slow_state_service_makes_no_tool_slow() {
    let more = "breaker = { minimum_calls = 1, slow_call = \"300ms\", slow_percent = 1 }";
    let mesh = Harness::start(|server| {
        let one = |effect: &str| tool(effect, &server.url("/"), &format!("effect = \"{effect}\"\n{more}"));
        ["read_only", "idempotent", "effectful"].map(one).concat()
    })
    .await;
    mesh.server.on("/", Does::Answer(200, json!({})));
    let lease = mesh.lease("inv", 10);
    // There and back: twice as long as a call may take.
    mesh.state_link.set(Fault::Delay(Duration::from_millis(300)));
    for (step, name) in (1..).zip(["read_only", "idempotent", "effectful"]) {
        let answer = mesh.step(&lease, step, name, json!({})).await.expect("it answers");
        assert_eq!(answer.outcome(), Outcome::Real);
        let circuit = mesh.circuit(name).await;
        assert_eq!((circuit.state(), circuit.calls, circuit.slow_calls), (CircuitState::Closed, 1, 0), "{name}");
    }
}
