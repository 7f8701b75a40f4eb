//! What is answered counts before whatever comes after it, though it is settled behind its reply.

use futures::future::join;
use holdfast_proto::llm::v1 as pb;
use holdfast_simulator::Limits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::harness::{Harness, provider};

/// So many in a row without an answer among them, and an only key is left alone.
const DOUBTS: usize = 3;

fn response(status: &str, json: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{json}", json.len()).into_bytes()
}

fn answer() -> Vec<u8> {
    response("200 OK", r#"{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}]}"#)
}

fn forbidden() -> Vec<u8> {
    response("403 Forbidden", r#"{"error":{"message":"not this"}}"#)
}

async fn asked(connection: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        assert_ne!(connection.read_buf(&mut read).await.expect("it reads"), 0, "the proxy keeps its connections");
    }
}

/// Forbids all but one doubt's worth of calls. Then it waits for two, and answers them in one breath: well, and not.
async fn serve(listener: TcpListener) {
    let (mut first, _) = listener.accept().await.expect("somebody comes");
    for _ in 1..DOUBTS {
        asked(&mut first).await;
        first.write_all(&forbidden()).await.expect("it is read");
    }
    asked(&mut first).await;
    let (mut second, _) = listener.accept().await.expect("another one comes");
    asked(&mut second).await;
    first.writable().await.expect("it is open");
    second.writable().await.expect("it is open");
    // Nobody here reads the first before the second is written.
    first.try_write(&answer()).expect("there is room");
    second.try_write(&forbidden()).expect("there is room");
}

#[tokio::test]
async fn an_answer_speaks_for_an_only_key_before_what_is_forbidden_right_after_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let toml = format!(
        "[providers.only]\nkind = \"openai\"\nbase_url = \"http://{address}/v1\"\nkeys = [{{ name = \"k\" }}]\n\
         [models.m]\ndeployments = [{{ provider = \"only\", model = \"x\" }}]\n"
    );
    let harness = Harness::start(toml, provider(&[("simulated", Limits::default())]).await).await;
    let served = tokio::spawn(serve(listener));
    for _ in 1..DOUBTS {
        harness.say("bad").await.expect_err("it is forbidden");
    }
    let (one, other) = join(harness.say("hi"), harness.say("bad")).await;
    assert!(one.is_ok() != other.is_ok(), "{one:?}, {other:?}");
    served.await.expect("it has answered all");
    let capacity = harness.client.clone().get_capacity(pb::GetCapacityRequest::default()).await.expect("an answer");
    let key = &capacity.into_inner().providers[0].keys[0];
    assert_eq!(key.health(), pb::KeyHealth::Well, "there was an answer among them");
}
