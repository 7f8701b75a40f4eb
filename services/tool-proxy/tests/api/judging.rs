//! What counts as an answer, as the tool's own error, and as its failure.

use holdfast_proto::tool::v1::Outcome;
use serde_json::json;

use crate::harness::{Harness, content, tool};
use crate::tool_server::Does;

const READ: &str = "effect = \"read_only\"\nattempts = 1\n";

#[tokio::test]
async fn the_operator_says_what_a_failure_is() {
    let mesh = Harness::start(|server| {
        let more = format!(
            "{READ}errors = [\"4xx\", \"500\"]\nfailures = {{ statuses = [\"403\", \"5xx\", \"429\"], healthy = [\"429\"] }}"
        );
        tool("t", &server.url("/t"), &more)
    })
    .await;
    let cases = [
        (404, Outcome::ToolError, "", 0),
        (500, Outcome::ToolError, "", 0),
        (408, Outcome::ToolError, "", 0),
        (429, Outcome::Unavailable, "HTTP_429", 0),
        (403, Outcome::Unavailable, "HTTP_403", 1),
        (503, Outcome::Unavailable, "HTTP_503", 2),
        (302, Outcome::Unavailable, "HTTP_302", 3),
        (201, Outcome::Real, "", 3),
    ];
    for (status, outcome, reason, failures) in cases {
        mesh.server.on("/t", Does::Answer(status, json!({"status": status})));
        let answer = mesh.call("t", json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (outcome, reason), "{status}");
        assert_eq!(mesh.circuit("t").await.failures, failures, "{status}");
        if reason.is_empty() {
            assert_eq!(content(&answer), json!({"status": status}), "the tool's own words");
        }
    }
}

#[tokio::test]
async fn only_the_types_that_are_taken_are_an_answer() {
    let mesh = Harness::start(|server| {
        let json = format!("{READ}content_types = [\"application/json\"]");
        tool("json", &server.url("/t"), &json) + &tool("any", &server.url("/t"), READ)
    })
    .await;
    mesh.server.on("/t", Does::Typed("text/html", b"<h1>Please sign in</h1>"));
    let answer = mesh.call("json", json!({})).await.expect("the fallback answers");
    assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "CONTENT_TYPE"));
    assert_eq!(mesh.circuit("json").await.failures, 1);
    assert_eq!(mesh.server.hits("/t")[0].header("accept"), "application/json");

    let answer = mesh.call("any", json!({})).await.expect("it answers");
    assert_eq!((answer.outcome(), answer.content_type.as_str()), (Outcome::Real, "text/html"));
    mesh.server.on("/t", Does::Typed("application/json; charset=utf-8", b"{}"));
    let answer = mesh.call("json", json!({})).await.expect("it answers");
    assert_eq!(answer.outcome(), Outcome::Real);
}

#[tokio::test]
async fn answers_are_asked_for_as_they_are() {
    let mesh = Harness::start(|server| tool("t", &server.url("/t"), READ)).await;
    mesh.server.on("/t", Does::Answer(200, json!({})));
    mesh.call("t", json!({})).await.expect("it answers");
    assert_eq!(mesh.server.hits("/t")[0].header("accept-encoding"), "identity");
}
