//! Off loopback: TLS, callers' keys, and a credential between the services, all by `file:` reference.

use std::net::{IpAddr, UdpSocket};

use holdfast_config::Peer;
use holdfast_proto::gateway::v1::ListInvocationsRequest;
use holdfast_proto::gateway::v1::invocation_service_client::InvocationServiceClient;
use holdfast_proto::queue::v1::queue_service_client::QueueServiceClient;
use holdfast_proto::queue::v1::{InvocationState, ListDepthsRequest};
use holdfast_sdk::{Client, Endpoints, invocation};
use holdfast_testkit::Mesh;
use serde_json::json;
use tonic::{Code, Request};

/// The demonstration itself, and what another address than loopback demands.
const CONFIG: &str = concat!(
    include_str!("../../services/holdfast/src/demo.toml"),
    r#"
[tls]
certificate = "file:tls.pem"
key = "file:tls.key"

[mesh]
credential = "file:mesh.credential"
lease_key = "file:mesh.lease-key"

[[gateway.keys]]
name = "shop"
key = "file:shop.key"
tenant = "shop"
role = "caller"

[[gateway.keys]]
name = "bank"
key = "file:bank.key"
tenant = "bank"
role = "operator"
"#
);
const SHOP: &str = "shop-key-0123456789abcdef";
const BANK: &str = "bank-key-0123456789abcdef";
const CREDENTIAL: &str = "mesh-credential-0123456789abcdef";
const LEASE_KEY: &str = "lease-key-0123456789abcdef";

/// An address of this machine that is not loopback: the one from which it would reach the outside. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

fn with_key<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn off_loopback_the_demonstration_runs_for_who_has_a_key_and_for_nobody_else() {
    let Some(host) = own_address() else {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let certificate = rcgen::generate_simple_self_signed([host.to_string()]).unwrap();
    let (pem, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    let files =
        [("shop.key", SHOP), ("bank.key", BANK), ("mesh.credential", CREDENTIAL), ("mesh.lease-key", LEASE_KEY)];
    let builder = Mesh::builder().config(CONFIG).secured(host, &pem, &key);
    let mesh = files.iter().fold(builder, |builder, (name, secret)| builder.file(name, secret)).start().await;

    let endpoints = Endpoints::gateway(mesh.url(Peer::Gateway)).authority(&pem);
    let shop = Client::over(&endpoints.clone().api_key(SHOP)).unwrap();
    let dispute = json!({"customer_id": "C-1001", "message": "I did not make this payment"});
    let ended = shop.run(invocation("disputes", &dispute).unwrap()).await.unwrap();
    assert_eq!((ended.state(), &*ended.tenant), (InvocationState::Succeeded, "shop"));

    let mut gateway = InvocationServiceClient::new(mesh.channel(Peer::Gateway));
    let list = ListInvocationsRequest::default;
    let stranger = gateway.list_invocations(list()).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated);
    let wrong = gateway.list_invocations(with_key("a-key-that-nobody-gave-out", list())).await.unwrap_err();
    assert_eq!(wrong.code(), Code::Unauthenticated);
    let other = gateway.list_invocations(with_key(BANK, list())).await.unwrap().into_inner();
    assert_eq!(other.invocations, [], "nothing crosses tenants");

    let mut queue = QueueServiceClient::new(mesh.channel(Peer::Queue));
    for credential in [BANK, "not-the-mesh-credential"] {
        let refused = queue.list_depths(with_key(credential, ListDepthsRequest {})).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "services know each other by the mesh credential");
    }
    let trusting_nobody = Client::over(&Endpoints::gateway(mesh.url(Peer::Gateway)).api_key(SHOP)).unwrap();
    let untrusted = trusting_nobody.timeout(std::time::Duration::from_secs(2)).get(&ended.id).await;
    assert!(untrusted.is_err(), "a certificate of nobody's is not trusted");
    everything_is_seen(&mesh).await;
}

/// The operator's view, by the configuration that the services have: each of them is asked over TLS.
async fn everything_is_seen(mesh: &Mesh) {
    let mut command = mesh.command();
    for peer in Peer::ALL {
        command.env(format!("HOLDFAST_MESH__{}", peer.section().to_uppercase()), mesh.url(peer));
    }
    let words = ["--json", "--config", "holdfast.toml", "--api-key", "file:bank.key", "top"];
    let output = command.args(words).output().await.expect("it runs");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    let services = document["services"].as_array().expect("a list");
    let serve = services.iter().filter(|service| service["health"] == "serving").count();
    assert_eq!((serve, &document["troubles"]), (Peer::ALL.len(), &json!([])), "{document}");
    assert!(
        document["tokens"].as_array().is_some_and(|tokens| !tokens.is_empty()),
        "metrics come the same way: {document}"
    );
}
