//! What a client may take up.

use bytes::Bytes;
use futures::stream;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use super::client::{asked, told};
use crate::harness::{Harness, one_key, provider};

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
