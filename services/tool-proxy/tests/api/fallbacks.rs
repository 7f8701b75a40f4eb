//! What callers get while a tool does not answer: the chain, in its order.

use holdfast_proto::tool::v1::Outcome;
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
