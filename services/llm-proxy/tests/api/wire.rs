//! What goes over the wire to a provider and back, byte by byte.

mod peer;

use holdfast_proto::llm::v1::{self as pb, stream_generate_response::Part};
use holdfast_rpc::status;
use tonic::Code;

use self::peer::{Does, Peer, Sees, chunk, chunked, last_chunk, whole};
use crate::{
    harness::{Harness, PATIENCE, provider, said},
    stub::{end, event, text},
};

const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;

async fn before(peer: &Peer) -> Harness {
    let toml = format!(
        "[providers.peer]\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\nkeys = [{{ name = \"k\", concurrency = 4 }}]\n\
         cooldown = \"100ms\"\n[models.m]\ndeployments = [{{ provider = \"peer\", model = \"x\" }}]\n",
        peer.address
    );
    Harness::start(toml, provider(&[]).await).await
}

/// What a stream says in the end: its text, and how it ended.
async fn streamed(harness: &Harness) -> (String, Option<Code>) {
    let (parts, end) = harness.stream("hi").await;
    let text =
        parts.into_iter().filter_map(|part| if let Some(Part::Text(text)) = part.part { Some(text) } else { None });
    (text.collect(), end.map(|status| status.code()))
}

#[tokio::test]
async fn what_a_stream_is_made_of_may_be_strange_as_long_as_it_is_whole() {
    let done = event(r#"{"choices":[{"index":0,"delta":{"content":null},"finish_reason":"stop"}],"usage":null}"#);
    let strange = format!(": keepalive\n\ndata:\n\n{}retry: 5\n\n{done}", text("Hi"));
    let peer = Peer::start(vec![
        vec![chunked(), chunk(&strange), last_chunk()],
        vec![chunked(), chunk(&text("Hi")), last_chunk()],
        vec![chunked(), chunk(&(text("Hi") + &done)), Does::Closes],
    ])
    .await;
    let harness = before(&peer).await;
    assert_eq!(streamed(&harness).await, ("Hi".into(), None), "the mark of the end may be missing");
    let broken = ("Hi".into(), Some(Code::Unavailable));
    assert_eq!(streamed(&harness).await, broken, "but not the reason for it");
    assert_eq!(streamed(&harness).await, broken, "nor the end of the response");
}

#[tokio::test]
async fn an_error_inside_of_a_stream_ends_it_after_what_was_said() {
    let limited = event(r#"{"error":{"message":"slow down","code":429}}"#);
    let peer = Peer::start(vec![
        vec![chunked(), chunk(&limited), last_chunk()],
        vec![chunked(), chunk(&(text("Hi") + &limited + &text("there"))), last_chunk()],
    ])
    .await;
    let harness = before(&peer).await;
    assert_eq!(streamed(&harness).await, ("Hi".into(), Some(Code::Unavailable)), "the first one waited and came again");
}

#[tokio::test]
async fn errors_are_known_in_whatever_they_come() {
    let cases = [
        (200, "", r#"{"error":{"message":"no such tool","code":400,"param":"tools"}}"#, Code::InvalidArgument),
        (400, "", r#"{"error":"no such tool"}"#, Code::InvalidArgument),
        (404, "", "404 page not found", Code::FailedPrecondition),
        (502, "content-type: text/html\r\n", "<html>Bad gateway</html>", Code::Unavailable),
        (200, "content-type: text/html\r\n", "<html>Sign in</html>", Code::Unavailable),
        (302, "location: http://127.0.0.1:9/\r\n", "", Code::Unavailable),
    ];
    let peer = Peer::start(cases.map(|(status, headers, body, _)| vec![whole(status, headers, body)]).into()).await;
    let harness = before(&peer).await;
    for (status, _, body, code) in cases {
        let refused = harness.say("hi").await.expect_err("it is no answer");
        assert_eq!(refused.code(), code, "{status} {body}: {refused:?}");
    }
}

#[tokio::test]
async fn a_reset_header_says_how_long_a_key_rests() {
    let headers =
        "x-ratelimit-reset-requests: 120ms\r\nx-ratelimit-reset-tokens: 6m0s\r\nx-ratelimit-remaining-tokens: 0\r\n";
    let peer = Peer::start(vec![vec![whole(429, headers, "{}")]]).await;
    let harness = before(&peer).await;
    let refused = harness.say_within("hi", PATIENCE).await.expect_err("it is a long wait");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(status::retry_after(&refused).is_some_and(|wait| (350..=360).contains(&wait.as_secs())), "{refused:?}");
}

#[tokio::test]
async fn a_stream_s_connection_is_used_again_though_its_end_comes_after_the_answer_s() {
    let stream = vec![chunked(), chunk(&(text("Hi") + &end())), Does::Waits, last_chunk()];
    let mut peer = Peer::start(vec![stream, vec![whole(200, "", ANSWER)]]).await;
    let harness = before(&peer).await;
    let (answer, ()) = tokio::join!(streamed(&harness), async {
        while peer.sees().await != Sees::Waiting {}
        peer.go_on();
    });
    assert_eq!(answer, ("Hi".into(), None));
    harness.say("hi").await.expect("an answer");
    assert!(peer.request().await.starts_with("POST /v1/chat/completions HTTP/1.1"));
    assert_eq!(peer.connections(), 1, "the first one again");
}

#[tokio::test]
async fn a_provider_that_does_not_end_its_response_does_not_hold_up_the_answer() {
    let peer = Peer::start(vec![vec![chunked(), chunk(&(text("Hi") + &end())), Does::Waits]]).await;
    let harness = before(&peer).await;
    assert_eq!(streamed(&harness).await, ("Hi".into(), None));
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_its_connection() {
    let stream = vec![chunked(), chunk(&text("Hi")), Does::Waits];
    let mut peer = Peer::start(vec![vec![Does::Waits], stream]).await;
    let harness = before(&peer).await;
    let mut client = harness.client.clone();
    let asking = tokio::spawn(async move { client.generate(said("hi")).await });
    while peer.sees().await != Sees::Waiting {}
    asking.abort();
    assert_eq!(peer.sees().await, Sees::Gone, "before the head of the response");

    let mut reading = harness.client.clone().stream_generate(request()).await.expect("a stream").into_inner();
    reading.message().await.expect("a part").expect("a part");
    while peer.sees().await != Sees::Waiting {}
    drop(reading);
    assert_eq!(peer.sees().await, Sees::Gone, "and in the middle of it");
}

fn request() -> pb::StreamGenerateRequest {
    pb::StreamGenerateRequest { request: Some(said("hi")) }
}

#[tokio::test]
async fn a_request_says_what_was_asked_and_no_more() {
    let mut peer = Peer::start(vec![vec![whole(200, "", ANSWER)]]).await;
    let harness = before(&peer).await;
    let extra = r#"{"seed": 7, "what_is_new": {"b":1.50, "a" : [ 1e3 ]}}"#;
    let asked =
        pb::GenerateRequest { extra: extra.as_bytes().to_vec().into(), max_output_tokens: 9, ..said("Grüße") };
    harness.ask(asked).await.expect("an answer");
    let request = peer.request().await;
    let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
    assert!(!head.to_lowercase().contains("authorization"), "there is no key to show: {head}");
    let messages = r#""messages":[{"role":"user","content":"Grüße"}]"#;
    let rest = r#""seed":7,"what_is_new":{"b":1.50, "a" : [ 1e3 ]},"max_tokens":9"#;
    assert_eq!(body, format!(r#"{{"model":"x",{messages},{rest}}}"#));
}
