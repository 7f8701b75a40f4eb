//! A provider behind TLS, with an authority of the test's own.

use holdfast_config::{Common, Secret, Tls};
use holdfast_rpc::service::{Host, Stop};
use tonic::Code;

use crate::harness::{Harness, provider};

/// A simulated provider on https; its authority's certificate.
async fn secured(directory: &std::path::Path) -> (String, String, Stop) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = certified.cert.pem();
    let mut common = Common::default();
    common.data.dir = directory.to_owned();
    common.tls = Some(Tls {
        certificate: Some(Secret::in_memory(pem.as_str())),
        key: Some(Secret::in_memory(certified.signing_key.serialize_pem())),
        authority: None,
    });
    let host = Host::bind("simulator", "127.0.0.1:0", &common).await.expect("a free port");
    let (url, stop) = (format!("https://localhost:{}/v1", host.address().port()), host.stop());
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
    let (url, pem, stop) = secured(directory.path()).await;
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
