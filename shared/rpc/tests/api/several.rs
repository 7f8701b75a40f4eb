//! A peer with several addresses.

use std::time::Duration;

use holdfast_proto::llm::v1::{ListModelsRequest, llm_service_client::LlmServiceClient};
use holdfast_rpc::{Channel, status};
use tokio::net::TcpListener;
use tonic::Code;

use crate::stand_in::{Mesh, Options};

type Client = LlmServiceClient<Channel>;

/// A client of both that begins with the first.
fn client(first: &str, second: &str) -> Client {
    let channel = Channel::connect_any("stand-in", &[first, second], None, None).expect("two URLs");
    LlmServiceClient::new(channel.beginning_at(0))
}

async fn called(client: &mut Client) -> Result<(), tonic::Status> {
    client.list_models(ListModelsRequest {}).await.map(|_| ())
}

#[tokio::test]
async fn a_call_goes_to_the_next_address_at_once_when_one_cannot_be_reached() {
    let (gone, there) = (Mesh::start(Options::default()).await, Mesh::start(Options::default()).await);
    let mut client = client(&gone.url(), &there.url());
    called(&mut client).await.expect("the first answers");
    gone.stop().await;
    for _ in 0..20 {
        called(&mut client).await.expect("not one call is lost: the second answers");
    }
}

#[tokio::test]
async fn calls_come_back_to_an_address_that_is_there_again() {
    let (home, other) = (Mesh::start(Options::default()).await, Mesh::start(Options::default()).await);
    let (address, mut client) = (home.address(), client(&home.url(), &other.url()));
    home.stop().await;
    called(&mut client).await.expect("the second answers");
    let _home = Mesh::start(Options { address: Some(address), ..Options::default() }).await;
    other.stop().await;
    // The first stays left alone until its breaker asks again.
    while let Err(refused) = called(&mut client).await {
        tokio::time::sleep(status::retry_after(&refused).expect("when to come back")).await;
    }
}

#[tokio::test]
async fn without_any_address_left_nothing_was_sent_and_no_socket_is_opened() {
    let (one, two) = (Mesh::start(Options::default()).await, Mesh::start(Options::default()).await);
    let (address, mut client) = (one.address(), client(&one.url(), &two.url()));
    one.stop().await;
    two.stop().await;
    let refused = called(&mut client).await.expect_err("nobody listens");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(status::retry_after(&refused).is_some() && !status::may_have_happened(&refused), "{refused}");
    let listener = TcpListener::bind(address).await.expect("the port is free again");
    called(&mut client).await.expect_err("both breakers are open");
    assert!(tokio::time::timeout(Duration::ZERO, listener.accept()).await.is_err(), "an open breaker opens no socket");
}

#[tokio::test]
async fn an_address_that_hangs_is_left_when_its_user_says_so() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let there = Mesh::start(Options::default()).await;
    let silent_url = format!("http://{}", silent.local_addr().expect("bound"));
    let channel = Channel::connect_any("stand-in", &[&silent_url, &there.url()], None, None).expect("two URLs");
    let channel = channel.beginning_at(0);
    channel.leave_address();
    called(&mut LlmServiceClient::new(channel)).await.expect("the second answers");
}
