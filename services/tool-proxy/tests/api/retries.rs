//! What is asked again, how often, and when.

use std::time::Duration;

use futures::future::join_all;
use holdfast_proto::tool::v1::Outcome;
use serde_json::json;
use tokio::time::Instant;
use tonic::Request;

use crate::harness::{Harness, content, request, tool};
use crate::tool_server::{Does, ToolServer};

/// A tool that fails every other time, for as long as anybody asks.
fn half_failing(server: &ToolServer, path: &str, requests: usize) {
    let mut script = Does::Answer(200, json!({}));
    for number in 0..requests {
        let does = if number % 2 == 0 { Does::Answer(500, json!({})) } else { Does::Answer(200, json!({})) };
        script = Does::First(does.into(), script.into());
    }
    server.on(path, script);
}

#[tokio::test]
async fn a_tool_that_fails_half_of_the_time_sees_at_most_a_tenth_more_requests_than_calls() {
    const CALLS: usize = 400;
    let more = "effect = \"read_only\"\nattempts = 5\nbreaker = { minimum_calls = 100000 }";
    let mesh = Harness::start(|server| tool("half", &server.url("/half"), more)).await;
    half_failing(&mesh.server, "/half", 2 * CALLS);
    let mut sent = 0;
    for _ in 0..CALLS / 20 {
        for answer in join_all((0..20).map(|_| mesh.call("half", json!({})))).await {
            sent += answer.expect("it answers").timing.expect("every answer has one").attempts as usize;
        }
    }
    let requests = mesh.server.hits("/half").len();
    assert_eq!(requests, sent, "every answer tells its attempts");
    assert!(requests > CALLS, "some were made again");
    assert!(requests <= CALLS + CALLS / 10, "{requests} requests for {CALLS} calls");
}

#[tokio::test]
async fn what_was_refused_for_the_moment_is_asked_again_and_not_before_the_tool_wants_it() {
    let more = "effect = \"read_only\"\nattempts = 2\nbreaker = { minimum_calls = 1000 }";
    let mesh = Harness::start(|server| {
        format!("[tool_proxy]\nretry_percent = 100\n{}", tool("busy", &server.url("/busy"), more))
    })
    .await;
    for status in [429, 503] {
        mesh.server.on("/busy", Does::First(Does::Later(status, 1).into(), Does::Answer(200, json!({"n": 1})).into()));
        let started = Instant::now();
        let answer = mesh.call("busy", json!({})).await.expect("it answers");
        assert_eq!((answer.outcome(), content(&answer)), (Outcome::Real, json!({"n": 1})), "{status}");
        assert!(started.elapsed() >= Duration::from_secs(1), "{status}: asked after {:?}", started.elapsed());
    }
    assert_eq!(mesh.server.hits("/busy").len(), 4);
}

#[tokio::test]
async fn a_pause_that_the_caller_has_no_time_for_is_not_made() {
    let more = "effect = \"read_only\"\nattempts = 2\ntimeout = \"5s\"";
    let mesh = Harness::start(|server| {
        format!("[tool_proxy]\nretry_percent = 100\n{}", tool("busy", &server.url("/busy"), more))
    })
    .await;
    // Longer than the caller has, then longer than the tool itself may take.
    for (wait, deadline) in [(30, 20), (6, 3_600)] {
        mesh.server.on("/busy", Does::Later(503, wait));
        let mut hasty = Request::new(request("busy", &json!({})));
        hasty.set_timeout(Duration::from_secs(deadline));
        // With the pause, the first one would come too late, and the second would have been asked again.
        let answer = mesh.send(hasty).await.expect("before the deadline");
        assert_eq!((answer.outcome(), answer.degraded_reason.as_str()), (Outcome::Unavailable, "HTTP_503"));
        assert_eq!(answer.timing.expect("every answer has one").attempts, 1);
    }
    assert_eq!(mesh.server.hits("/busy").len(), 2);
}

#[tokio::test]
async fn an_effectful_call_is_sent_once_whatever_it_comes_to() {
    let more = "attempts = 5\ntimeout = \"150ms\"\nconnect_timeout = \"150ms\"\nbreaker = { minimum_calls = 1000 }";
    let mesh = Harness::start(|server| {
        format!("[tool_proxy]\nretry_percent = 100\n{}", tool("pay", &server.url("/pay"), more))
    })
    .await;
    let fates = [Does::Answer(500, json!({})), Does::Later(503, 0), Does::Later(429, 0), Does::Break, Does::Hang];
    for (count, does) in (1..).zip(fates) {
        mesh.server.on("/pay", does);
        let answer = mesh.call("pay", json!({})).await.expect("it answers");
        assert_eq!(mesh.server.hits("/pay").len(), count, "{answer:?}");
        assert_eq!(answer.timing.expect("every answer has one").attempts, 1);
    }
}
