//! What a client may take up.

use bytes::Bytes;
use futures::stream;
use holdfast_rpc::status;
use holdfast_simulator::{Faults, Of};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tonic::Code;

use super::client::{asked, told};
use crate::harness::{Harness, PATIENCE, one_key, provider, said};

#[tokio::test]
async fn a_request_has_a_bound_said_or_not() {
    let toml = "[llm_proxy]\nrequest_bytes_max = \"4KiB\"\n".to_owned() + &one_key("concurrency = 2");
    let harness = Harness::start(toml, provider(&[("simulated", Default::default())]).await).await;
    let large = asked(&"x".repeat(5_000), json!({})).to_string();
    let too_large = (413, json!(["invalid_request_error", null, "body_too_large"]));
    assert_eq!(told(harness.post_text(&large)).await.error(), too_large);
    let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from(large))]);
    let unsaid = harness.post_text("").body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(told(unsaid).await.error(), too_large);
    assert_eq!(harness.chat(&"x".repeat(2_000), json!({})).await.status, 200);
}

#[tokio::test]
async fn requests_of_both_doors_are_bounded_together_for_as_long_as_they_are_needed() {
    let bounds = "[llm_proxy]\nrequest_bytes_max = \"64KiB\"\nwaiting_bytes_max = \"64KiB\"\n";
    let harness = Harness::start(
        bounds.to_owned() + &one_key("concurrency = 4"),
        provider(&[("simulated", Default::default())]).await,
    )
    .await;
    harness.provider.set_faults(Of::Provider, Faults { hang_rate: 1.0, times: Some(1), ..Faults::default() });
    let large = "x".repeat(40_000);
    let (mut client, request) = (harness.client.clone(), said(&large));
    let held = tokio::spawn(async move { client.generate(request).await });
    harness.provider.until(|counts| counts.key("simulated").requests == 1).await;
    let refused = harness.say(&large).await.expect_err("there is no room for two");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("requests at hand") && status::retry_after(&refused).is_some(), "{refused:?}");
    let full = (429, json!(["rate_limit_error", null, "rate_limit_exceeded"]));
    assert_eq!(harness.chat(&large, json!({})).await.error(), full);
    harness.say("hi").await.expect("a small one has room");
    held.abort();
    harness.provider.until(|counts| counts.key("simulated").broken_off == 1).await;
    let again = async { while harness.say(&large).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("its room was given back");
}

#[tokio::test]
async fn what_is_announced_and_does_not_come_keeps_nobody_out() {
    let bounds = "[llm_proxy]\nrequest_bytes_max = \"64KiB\"\nwaiting_bytes_max = \"64KiB\"\n";
    let toml = bounds.to_owned() + &one_key("concurrency = 4");
    let harness = Harness::start(toml, provider(&[("simulated", Default::default())]).await).await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut client = TcpStream::connect(harness.address).await.expect("it listens");
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 60000\r\n\r\n{";
        client.write_all(head.as_bytes()).await.expect("it is read");
        stalled.push(client);
    }
    for _ in 0..8 {
        assert_eq!(harness.chat(&"x".repeat(10_000), json!({})).await.status, 200);
    }
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_let_go_and_the_provider_is_told() {
    let toml = "[llm_proxy]\nstall_max = \"300ms\"\n".to_owned() + &one_key("concurrency = 2");
    let harness = Harness::start(toml, provider(&[("simulated", Default::default())]).await).await;
    let more = json!({"stream": true, "metadata": {"output_tokens": 3_000_000}});
    let body = asked("hi", more).to_string();
    // With little room on the way, what is not read is felt soon.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("it takes any size");
    let mut reader = socket.connect(harness.address).await.expect("it listens");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    reader.write_all((head + &body).as_bytes()).await.expect("it is read");
    let mut first = [0; 64];
    reader.read_exact(&mut first).await.expect("it begins");
    assert!(first.starts_with(b"HTTP/1.1 200"));
    // Nothing is read any more: what the sockets hold fills up, and then the stream stands.
    harness.provider.until(|counts| counts.key("simulated").broken_off == 1).await;
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.expect("what was on its way, and an end");
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.contains("[DONE]") && rest.contains("stall_max"), "{}", &rest[rest.len().saturating_sub(500)..]);
}
