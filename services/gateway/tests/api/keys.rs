use holdfast_config::{Common, Document, Peer};
use holdfast_gateway::Config;
use holdfast_proto::queue::v1 as pb;
use holdfast_rpc::service::{Host, ServeError, Settings as _};
use tonic::Code;

use crate::harness::{CALLER_KEY, Harness, KEY, KEYED, WORKER_KEY, spec, submit};
use crate::stand_in::Mode;

#[tokio::test]
async fn a_key_decides_whose_the_invocation_is() {
    let harness = Harness::with(Mode::Accept, KEYED).await;
    for (key, tenant) in [(CALLER_KEY, "acme"), (WORKER_KEY, "umbrella")] {
        harness.queue.clear();
        harness.invocations(Some(key)).submit_invocation(submit(spec("mail", ""))).await.expect("accepted");
        assert_eq!(harness.queue.submissions()[0].tenant, tenant);
    }
}

#[tokio::test]
async fn strangers_are_refused_and_nothing_reaches_the_queue() {
    let harness = Harness::with(Mode::Accept, KEYED).await;
    for key in [None, Some("operator-0123456788"), Some("the-credential-of-the-mesh")] {
        let refused =
            harness.invocations(key).submit_invocation(submit(spec("mail", ""))).await.expect_err("a stranger");
        assert_eq!(refused.code(), Code::Unauthenticated, "{key:?}");
        let refused = harness.queue_through(key).list_depths(pb::ListDepthsRequest {}).await.expect_err("a stranger");
        assert_eq!(refused.code(), Code::Unauthenticated, "{key:?}");
    }
    assert!(harness.queue.submissions().is_empty());
}

#[tokio::test]
async fn a_role_opens_its_methods_and_no_others() {
    let harness = Harness::with(Mode::Accept, KEYED).await;
    for (key, code) in [(CALLER_KEY, Code::PermissionDenied), (WORKER_KEY, Code::PermissionDenied), (KEY, Code::Ok)] {
        let asked = harness.queue_through(Some(key)).list_depths(pb::ListDepthsRequest {}).await;
        assert_eq!(asked.map_or_else(|refused| refused.code(), |_| Code::Ok), code, "{key}");
    }
    let enqueue = pb::EnqueueRequest { tenant: "other".into(), spec: Some(spec("mail", "")), ..Default::default() };
    let refused = harness.queue_through(Some(KEY)).enqueue(enqueue).await.expect_err("the mesh's own");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

/// The settings that keep strangers out, by what is left out of them.
async fn refusal_off_loopback(keys: bool) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("key"), KEY).expect("written");
    let entry = format!(
        "[[gateway.keys]]\nname = \"a\"\nkey = \"file:{}\"\ntenant = \"a\"\nrole = \"caller\"\n",
        directory.path().join("key").display()
    );
    let document = Document::parse("t.toml", if keys { &entry } else { "" }, []).expect("it is TOML");
    let config = Config::from_document(&document).expect("it holds");
    let mut common = Common::default();
    common.data.dir = directory.path().to_owned();
    match Host::bind(Peer::Gateway.name(), "0.0.0.0:0", &common).await {
        Err(error @ ServeError::Insecure { .. }) => error.to_string(),
        Err(other) => panic!("another refusal was expected: {other}"),
        Ok(host) => {
            let refused = holdfast_gateway::serve(common, config, host).await;
            refused.expect_err("an open gateway off loopback").to_string()
        }
    }
}

#[tokio::test]
async fn off_loopback_nothing_starts_without_protection() {
    for keys in [false, true] {
        let refusal = refusal_off_loopback(keys).await;
        assert!(refusal.contains("not loopback") && refusal.contains("127.0.0.1"), "{refusal}");
    }
}
