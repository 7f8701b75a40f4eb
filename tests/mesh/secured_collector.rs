//! A collector behind TLS, as one that somebody hosts is: who is told whom to trust sends it everything, and the key that it
//! is shown stands in no log.

use std::net::SocketAddr;
use std::sync::Arc;

use holdfast_config::Peer;
use holdfast_proto::state::v1::state_service_client::StateServiceClient;
use holdfast_proto::state::v1::{Address, GetRequest};
use holdfast_testkit::{Collector, Mesh};
use holdfast_tests::traces::{CALLER, TRACE};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tonic::{Code, Request};

/// The collector's key.
const CANARY: &str = "canary-4711";

/// Speaks TLS before a collector that does not.
struct Front {
    endpoint: String,
    accepting: JoinHandle<()>,
}

impl Front {
    async fn before(collector: &Collector, certificate: &CertifiedKey<KeyPair>) -> Self {
        let target: SocketAddr = collector.endpoint().trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.cert.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                lines.spawn(async move {
                    let Ok(mut near) = acceptor.accept(stream).await else { return };
                    let mut far = TcpStream::connect(target).await.expect("the collector listens");
                    // However it ends: what came is told by the collector.
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { endpoint, accepting }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_reach_a_collector_behind_tls_and_its_key_stands_in_no_log() {
    let certificate = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    // What is said of collectors alone, and what this machine trusts.
    for trusted_by in ["OTEL_EXPORTER_OTLP_CERTIFICATE", "SSL_CERT_FILE"] {
        let collector = Collector::start().await;
        let front = Front::before(&collector, &certificate).await;
        let builder = Mesh::builder().only(&[Peer::State]).file("collector.pem", &certificate.cert.pem());
        let mut mesh = builder
            .env(trusted_by, "collector.pem")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &front.endpoint)
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{CANARY}"))
            .env("HOLDFAST_TELEMETRY__LOG", "trace")
            .start()
            .await;
        let address = Address { namespace: "n".into(), partition: "p".into(), key: "k".into() };
        let mut get = Request::new(GetRequest { address: Some(address), ..Default::default() });
        get.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CALLER}-01").parse().unwrap());
        let nothing = StateServiceClient::new(mesh.channel(Peer::State)).get(get).await.unwrap_err();
        assert_eq!(nothing.code(), Code::NotFound, "{nothing}");
        mesh.drain(Peer::State).await;

        let log = mesh.process(Peer::State).log();
        assert!(collector.spans().iter().any(|span| span.trace_id == TRACE), "{trusted_by}: {log}");
        assert!(!collector.metrics().is_empty(), "{trusted_by}: {log}");
        assert!(log.contains("TRACE") && !log.contains(CANARY), "{trusted_by}");
    }
}
