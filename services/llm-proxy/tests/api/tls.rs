//! A provider behind TLS, with an authority of the test's own.

use holdfast_config::{Common, Secret, Tls};
use holdfast_rpc::service::{Host, Stop};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tonic::Code;

use crate::{
    harness::{Harness, PATIENCE, provider, say_within},
    process::Proxy,
};

/// A simulated provider on https, under this name; its authority's certificate.
pub async fn secured(directory: &std::path::Path, name: &str) -> (String, String, Stop) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let pem = certified.cert.pem();
    let mut common = Common::default();
    common.data.dir = directory.to_owned();
    common.tls = Some(Tls {
        certificate: Some(Secret::in_memory(pem.as_str())),
        key: Some(Secret::in_memory(certified.signing_key.serialize_pem())),
        authority: None,
    });
    let host = Host::bind("simulator", "127.0.0.1:0", &common).await.expect("a free port");
    let (url, stop) = (format!("https://{name}:{}/v1", host.address().port()), host.stop());
    tokio::spawn(holdfast_simulator::serve(common, holdfast_simulator::Config::default(), host));
    (url, pem, stop)
}

fn toml(url: &str, key: &std::path::Path, authority: &str) -> String {
    let key = key.display();
    format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = \"{url}\"\nkeys = [{{ name = \"main\", key = \"file:{key}\" }}]\n\
         {authority}\n[models.m]\ndeployments = [{{ provider = \"p\", model = \"simulated-model\" }}]\n"
    )
}

#[tokio::test]
async fn a_provider_is_known_by_the_authority_that_is_configured() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (url, pem, stop) = secured(directory.path(), "localhost").await;
    let (key, authority) = (directory.path().join("key"), directory.path().join("ca.pem"));
    std::fs::write(&key, "simulated\n").expect("the key is written");
    std::fs::write(&authority, pem).expect("the authority is written");
    let trusting = toml(&url, &key, &format!("authority = \"file:{}\"", authority.display()));
    let harness = Harness::start(trusting, provider(&[]).await).await;
    let answer = harness.say("hi").await.expect("over TLS");
    assert_eq!(answer.deployment, "p/simulated-model");

    let harness = Harness::start(toml(&url, &key, ""), provider(&[]).await).await;
    let refused = harness.say("hi").await.expect_err("nobody vouches for it");
    assert_eq!(refused.code(), Code::Unavailable);
    stop.cancel();
}

/// A proxy that makes one tunnel, to this machine whatever name it is asked for; its URL, and what it was asked.
async fn tunnel() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://me:secret@{}", listener.local_addr().expect("it is bound"));
    let asked = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("somebody comes");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("text");
        let port = head.lines().next().and_then(|line| line.split([':', ' ']).nth(2)).expect("a port");
        let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("it is there");
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("somebody reads");
        tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        head
    });
    (url, asked)
}

#[tokio::test]
async fn a_provider_behind_tls_is_asked_through_a_tunnel_which_its_key_is_not_shown() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (url, pem, stop) = secured(directory.path(), "provider.invalid").await;
    let (key, authority) = (directory.path().join("key"), directory.path().join("ca.pem"));
    std::fs::write(&key, "simulated\n").expect("the key is written");
    std::fs::write(&authority, pem).expect("the authority is written");
    let toml = toml(&url, &key, &format!("authority = \"file:{}\"", authority.display()));
    let (through, asked) = tunnel().await;
    let names = [("HTTPS_PROXY", through.as_str()), ("https_proxy", through.as_str())];
    let proxy = Proxy::start_under(directory.path(), &provider(&[]).await, &toml, &names).await;
    let answer = say_within(&proxy.client, "hi", PATIENCE).await.expect("through the tunnel");
    assert_eq!(answer.deployment, "p/simulated-model");
    let asked = asked.await.expect("it was asked").to_lowercase();
    assert!(asked.starts_with("connect provider.invalid:"), "{asked}");
    assert!(asked.contains("proxy-authorization: basic bwu6c2vjcmv0"), "{asked}");
    assert!(asked.contains("user-agent: holdfast/") && !asked.contains("simulated"), "{asked}");
    proxy.kill().await;
    stop.cancel();
}
