//! A tool behind TLS, with an authority of the test's own.

use std::sync::Arc;

use holdfast_proto::tool::v1::Outcome;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::harness::{Harness, content, tool};
use crate::tool_server::{Does, ToolServer};

/// An authority's certificate (PEM), and what a server for `localhost` shows that has one of it.
fn authority() -> (String, ServerConfig) {
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = names.signed_by(&key, &ca).expect("it signs");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("its own format");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it has some")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("they fit");
    (ca.pem(), config)
}

#[tokio::test]
async fn a_tool_on_https_is_called_where_its_authority_is_trusted_and_nowhere_else() {
    let (ours, shown) = authority();
    let (others, _) = authority();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, pem: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).expect("it is written");
        format!("authority = \"file:{}\"", path.display())
    };
    let secured = ToolServer::secured(shown).await;
    secured.on("/pay", Does::Answer(200, json!({"paid": true})));
    let url = secured.url("/pay");
    let config = tool("known", &url, &file("ours.pem", &ours))
        + &tool("public", &url, "")
        + &tool("misplaced", &url, &file("others.pem", &others));
    let mesh = Harness::start(|_| config).await;

    for stranger in ["public", "misplaced"] {
        let answer = mesh.call(stranger, json!({})).await.expect("the fallback answers");
        assert_eq!(
            (answer.outcome(), answer.degraded_reason.as_str()),
            (Outcome::Unavailable, "TLS"),
            "{stranger}: nobody whom it trusts vouches for the server"
        );
    }
    assert!(secured.hits("/pay").is_empty(), "nothing was sent to a stranger");

    let answer = mesh.call("known", json!({"amount": 1})).await.expect("it answers");
    assert_eq!((answer.outcome(), content(&answer)), (Outcome::Real, json!({"paid": true})));
    assert_eq!(secured.hits("/pay").len(), 1);
}
