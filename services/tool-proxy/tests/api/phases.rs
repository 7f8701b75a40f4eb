//! Each phase of a request has its own time and its own reason, and what is cut off is cut off down to the tool.

use std::time::Duration;

use holdfast_proto::tool::v1::{CallToolResponse, Outcome};
use serde_json::json;
use tonic::Request;

use crate::harness::{Harness, content, request, tool};
use crate::raw_server::{RawServer, Says};

const PATIENT: &str = "attempts = 1\ntimeout = \"60s\"\n";

fn told(answer: &CallToolResponse) -> (Outcome, &str) {
    (answer.outcome(), answer.degraded_reason.as_str())
}

/// One tool, called once.
async fn call(url: String, more: &str) -> (Harness, CallToolResponse) {
    let mesh = Harness::start(|_| tool("t", &url, more)).await;
    let answer = mesh.call("t", json!({})).await.expect("the fallback answers");
    (mesh, answer)
}

/// Where nobody listens, nor will.
fn refused_port() -> String {
    format!("http://127.0.0.1:{}/", holdfast_testkit::free_ports(1))
}

#[tokio::test]
async fn what_never_connected_was_not_sent_and_says_why() {
    let silent = RawServer::start(Says::Nothing).await;
    let no_tls = RawServer::start(Says::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".into())).await;
    let refusing = refused_port();
    let refused = refusing.replace("http://", "host:").replace('/', "");
    let cases = [
        (refusing, refused, "CONNECT"),
        (silent.url("https"), silent.circuit(), "CONNECT_TIMEOUT"),
        (no_tls.url("https"), no_tls.circuit(), "TLS"),
    ];
    for (url, host, reason) in cases {
        // An effectful one: where it may have been sent, nothing but OUTCOME_UNKNOWN could be said.
        let (mesh, answer) = call(url, &format!("{PATIENT}connect_timeout = \"200ms\"")).await;
        assert_eq!(told(&answer), (Outcome::Unavailable, reason));
        let failures = (mesh.circuit("t").await.failures, mesh.circuit(&host).await.failures);
        assert_eq!(failures, (1, 1), "{reason} counts against the tool and its host");
    }
}

#[tokio::test]
async fn a_call_whose_time_ends_while_it_connects_was_not_sent() {
    let silent = RawServer::start(Says::Nothing).await;
    let more = format!("{PATIENT}connect_timeout = \"60s\"");
    let mesh = Harness::start(|_| tool("t", &silent.url("https"), &more)).await;
    let mut hasty = Request::new(request("t", &json!({"a": 1})));
    hasty.set_timeout(Duration::from_secs(2));
    let answer = mesh.send(hasty).await.expect("before the deadline");
    assert_eq!(told(&answer), (Outcome::Unavailable, "TIMEOUT"), "an effectful call that is known not to have left");
    silent.until(|seen| seen.left == 1).await;
}

#[tokio::test]
async fn a_call_whose_time_ends_after_it_was_sent_is_not_called_harmless() {
    let silent = RawServer::start(Says::Nothing).await;
    let (_mesh, answer) = call(silent.url("http"), &format!("{PATIENT}first_byte_timeout = \"200ms\"")).await;
    assert_eq!(told(&answer), (Outcome::Unknown, "FIRST_BYTE_TIMEOUT"));
}

#[tokio::test]
async fn the_head_the_pieces_and_the_whole_have_their_own_times() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let cases = [
        (Says::Nothing, "timeout = \"60s\"\nfirst_byte_timeout = \"200ms\"", "FIRST_BYTE_TIMEOUT", 0),
        (Says::Bytes(head.into()), "timeout = \"60s\"\nidle_timeout = \"200ms\"", "IDLE_TIMEOUT", 0),
        (Says::Bytes(head.into()), "timeout = \"200ms\"\nconnect_timeout = \"200ms\"", "TIMEOUT", 0),
        (Says::Last(Vec::new()), "timeout = \"60s\"", "BROKEN", 1),
        (Says::Last(head.into()), "timeout = \"60s\"", "BROKEN", 0),
    ];
    for (says, more, reason, of_the_host) in cases {
        let server = RawServer::start(says).await;
        let more = format!("effect = \"read_only\"\nattempts = 1\n{more}");
        let (mesh, answer) = call(server.url("http"), &more).await;
        assert_eq!(told(&answer), (Outcome::Unavailable, reason), "{more}");
        let (tool, host) = (mesh.circuit("t").await, mesh.circuit(&server.circuit()).await);
        assert_eq!(
            (tool.failures, host.failures),
            (1, of_the_host),
            "{reason} counts against the tool, and against its host where that broke"
        );
        if reason == "FIRST_BYTE_TIMEOUT" {
            assert_eq!(host.calls, 0, "of a host that has said nothing, nobody knows");
        }
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_takes_the_request_from_the_tool() {
    let server = RawServer::start(Says::Nothing).await;
    let mesh = Harness::start(|_| {
        tool("reads", &server.url("http"), &format!("effect = \"read_only\"\n{PATIENT}"))
            + &tool("writes", &server.url("http"), "effect = \"idempotent\"\ntimeout = \"60s\"")
    })
    .await;
    for (before, name) in ["reads", "writes"].into_iter().enumerate() {
        let call = Box::pin(mesh.call(name, json!({})));
        let arrived = Box::pin(server.until(|seen| seen.spoken_to == before + 1));
        // Whichever is left over is dropped: the caller goes away.
        let futures::future::Either::Right(_) = futures::future::select(call, arrived).await else {
            panic!("the tool says nothing")
        };
        server.until(|seen| seen.left == before + 1).await;
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_is_taken_from_the_tool() {
    let server = RawServer::start(Says::Nothing).await;
    let (_mesh, _) = call(server.url("http"), "timeout = \"100ms\"\nconnect_timeout = \"100ms\"").await;
    server.until(|seen| seen.left == 1).await;
}

#[tokio::test]
async fn no_answer_is_longer_than_it_may_be_or_other_than_it_says() {
    let answer = |head: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let cases = [
        // More is said than comes, more than is taken, and what no number is.
        (Says::Last(answer("content-length: 10", b"{\"a\"")), "BROKEN"),
        (Says::Bytes(answer("content-length: 1152921504606846976", b"{}")), "ANSWER_TOO_LARGE"),
        (Says::Bytes(answer("content-length: 2\r\ncontent-length: 3", b"{}")), "BROKEN"),
        (Says::Bytes(answer("content-length: -1", b"{}")), "BROKEN"),
        // Chunks that say too much or nothing.
        (Says::Last(answer("transfer-encoding: chunked", b"ffffffffffffffffff\r\n{}")), "BROKEN"),
        (
            Says::Last(answer("transfer-encoding: chunked", &[b"401\r\n".as_slice(), &[b' '; 0x401]].concat())),
            "ANSWER_TOO_LARGE",
        ),
        // Nobody asked for it packed: 30 bytes that would be 20 KiB, and what only says so.
        (Says::Bytes(answer("content-encoding: gzip\r\ncontent-length: 2", b"\x1f\x8b")), "CONTENT_ENCODING"),
        (Says::Bytes(answer("content-encoding: br\r\ncontent-length: 2", b"{}")), "CONTENT_ENCODING"),
        // No end of the head.
        (Says::Last(b"HTTP/1.1 200 OK\r\n".iter().chain(&[b'x'; 1 << 20]).copied().collect()), "BROKEN"),
    ];
    for (says, reason) in cases {
        let server = RawServer::start(says.clone()).await;
        let more = "effect = \"read_only\"\nattempts = 1\nmax_response_bytes = \"1KiB\"";
        let (_mesh, answer) = call(server.url("http"), more).await;
        assert_eq!(told(&answer), (Outcome::Unavailable, reason), "{says:?}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_not_taken_for_the_next_one() {
    let one = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n";
    let server = RawServer::start(Says::Bytes(format!("{one}1{one}2").into())).await;
    let mesh = Harness::start(|_| tool("t", &server.url("http"), "effect = \"read_only\"")).await;
    for _ in 0..5 {
        let answer = mesh.call("t", json!({})).await.expect("it answers");
        assert_eq!(content(&answer), json!(1), "2 was said before it was asked for");
    }
    assert_eq!(server.seen().opened, 5, "such a connection is not used again");
}
