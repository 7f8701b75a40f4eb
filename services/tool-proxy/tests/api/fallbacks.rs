//! What callers get while a tool does not answer: the chain, in its order.

use holdfast_proto::tool::v1::{CircuitState, FallbackKind, Outcome};
use serde_json::json;

use crate::harness::{Harness, content, tool};
use crate::tool_server::Does;

#[tokio::test]
async fn the_chain_is_tried_in_its_order_and_says_what_it_gave() {
    let mesh = Harness::start(|server| {
        let more = "effect = \"read_only\"\nattempts = 1\nbreaker = { minimum_calls = 1000 }\nfallback = [\n\
                    { kind = \"last_good\", max_age = \"1h\" }, { kind = \"tool\", name = \"second\" },\n\
                    { kind = \"fixed\", answer = { stock = \"unknown\" } } ]";
        tool("first", &server.url("/first"), more)
            + &tool("second", &server.url("/second"), "effect = \"read_only\"\nattempts = 1")
    })
    .await;
    mesh.server.on("/first", Does::Answer(503, json!({})));
    mesh.server.on("/second", Does::Answer(500, json!({})));

    let fixed = mesh.call("first", json!({"id": 1})).await.expect("it answers");
    assert_eq!((fixed.outcome(), content(&fixed)), (Outcome::Degraded, json!({"stock": "unknown"})));
    assert_eq!(fixed.degraded_reason, "HTTP_503");

    mesh.server.on("/second", Does::Answer(200, json!({"stock": 2})));
    let second = mesh.call("first", json!({"id": 1})).await.expect("it answers");
    assert_eq!((second.outcome(), content(&second)), (Outcome::Degraded, json!({"stock": 2})));

    mesh.server.on("/first", Does::First(Does::Answer(200, json!({"stock": 7})).into(), Does::Break.into()));
    let real = mesh.call("first", json!({"id": 1})).await.expect("it answers");
    assert_eq!((real.outcome(), content(&real)), (Outcome::Real, json!({"stock": 7})));
    let cached = mesh.call("first", json!({"id": 1})).await.expect("it answers");
    assert_eq!((cached.outcome(), content(&cached)), (Outcome::Cached, json!({"stock": 7})));
    assert!(cached.age.is_some());

    let other = mesh.call("first", json!({"id": 2})).await.expect("it answers");
    assert_eq!(content(&other), json!({"stock": 2}), "an answer to other arguments is no answer");
}

#[tokio::test]
async fn a_last_good_answer_that_is_too_old_is_not_given() {
    let mesh = Harness::start(|server| {
        let more = "effect = \"read_only\"\nattempts = 1\nfallback = [{ kind = \"last_good\", max_age = \"0s\" }]";
        tool("first", &server.url("/first"), more)
    })
    .await;
    mesh.server.on("/first", Does::First(Does::Answer(200, json!({})).into(), Does::Break.into()));
    mesh.call("first", json!({})).await.expect("it answers");
    let answer = mesh.call("first", json!({})).await.expect("it answers");
    assert_eq!((answer.outcome(), content(&answer)["reason"].as_str()), (Outcome::Unavailable, Some("BROKEN")));
}

#[tokio::test]
async fn an_unavailable_tool_tells_the_agent_how_to_go_on() {
    let mesh = Harness::start(|_| {
        tool("gone", "http://127.0.0.1:1/", "fallback = [{ kind = \"unavailable\", advice = \"Ask the customer.\" }]")
    })
    .await;
    let answer = mesh.call("gone", json!({})).await.expect("it answers");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "CONNECT"));
    assert_eq!(content(&answer)["advice"], "Ask the customer.");
}

#[tokio::test]
async fn an_effectful_call_that_may_have_left_is_never_hidden_by_a_fallback() {
    let mesh = Harness::start(|server| {
        let more = "timeout = \"100ms\"\nconnect_timeout = \"100ms\"\nmax_response_bytes = \"1KiB\"\n\
                    breaker = { minimum_calls = 1000 }\nfallback = [{ kind = \"fixed\", answer = { paid = true } }]";
        tool("pay", &server.url("/pay"), more)
    })
    .await;
    let cases = [
        (Does::Hang, "TIMEOUT"),
        (Does::Break, "BROKEN"),
        (Does::BreakAfterHead, "BROKEN"),
        (Does::Answer(500, json!({})), "HTTP_500"),
        (Does::Chunks(1 << 20), "ANSWER_TOO_LARGE"),
    ];
    for (count, (does, reason)) in (1..).zip(cases) {
        mesh.server.on("/pay", does);
        let answer = mesh.call("pay", json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unknown, reason));
        assert_eq!(mesh.server.hits("/pay").len(), count, "sent once, never again");
    }
}

#[tokio::test]
async fn a_chain_passes_over_a_tool_whose_circuit_is_open_and_says_who_stood_in() {
    let mesh = Harness::start(|server| {
        let lasting = "effect = \"read_only\"\nattempts = 1\n\
                       breaker = { minimum_calls = 1, open = \"1h\", open_max = \"1h\" }";
        let chain = "fallback = [{ kind = \"tool\", name = \"second\" }, { kind = \"tool\", name = \"third\" },\n\
                     { kind = \"fixed\", answer = 0 }]";
        tool("first", &server.url("/first"), &format!("{lasting}\n{chain}"))
            + &tool("second", &server.url("/second"), lasting)
            + &tool("third", &server.url("/third"), lasting)
    })
    .await;
    for path in ["/first", "/second"] {
        mesh.server.on(path, Does::Answer(503, json!({})));
    }
    mesh.server.on("/third", Does::Answer(200, json!({"from": "third"})));
    mesh.call("second", json!({})).await.expect("it answers");
    assert_eq!(mesh.circuit("second").await.state(), CircuitState::Open);

    for (reason, asked) in [("HTTP_503", 1), ("CIRCUIT_OPEN", 1)] {
        let answer = mesh.call("first", json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), content(&answer)), (Outcome::Degraded, json!({"from": "third"})));
        assert_eq!((answer.fallback(), answer.fallback_tool.as_str()), (FallbackKind::Tool, "third"));
        assert_eq!(answer.degraded_reason, reason);
        let asked_in_vain = ["/first", "/second"].map(|path| mesh.server.hits(path).len());
        assert_eq!(asked_in_vain, [asked, 1], "an open circuit costs nothing, in a chain too");
    }
    let counted = "holdfast_tool_fallbacks_total{tool=\"first\",kind=\"tool\",reason=\"CIRCUIT_OPEN\"}";
    assert_eq!(mesh.metric(counted), 1.0);
}

#[tokio::test]
async fn every_kind_of_link_is_named_in_the_answer_and_in_its_replay() {
    let mesh = Harness::start(|_| {
        let gone = |name: &str, chain: &str| {
            tool(name, "http://127.0.0.1:1/", &format!("effect = \"read_only\"\nattempts = 1\nfallback = [{chain}]"))
        };
        gone("fixed", "{ kind = \"fixed\", answer = 1 }")
            + &gone("advice", "{ kind = \"unavailable\", advice = \"A\" }")
            + &gone("nothing", "{ kind = \"last_good\", max_age = \"1h\" }")
    })
    .await;
    let lease = mesh.lease("inv", 10);
    let cases =
        [("fixed", FallbackKind::Fixed), ("advice", FallbackKind::Unavailable), ("nothing", FallbackKind::Unavailable)];
    for (step, (name, kind)) in (1..).zip(cases) {
        for replayed in [false, true] {
            let answer = mesh.step(&lease, step, name, json!({})).await.expect("it answers");
            assert_eq!((answer.fallback(), answer.replayed), (kind, replayed), "{name}");
        }
    }
}
