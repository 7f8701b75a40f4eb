//! Plain HTTP beside gRPC: the same port, the same bounds.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    response::IntoResponse,
    routing::{get, post},
};
use bytes::Bytes;
use holdfast_config::{Common, Secret, Tls};
use holdfast_rpc::{
    Caller, Role, deadline,
    keys::{Identity, Key, Keys},
    server::Limits,
    service::{Host, Routes, ServeError, Stop},
};
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

const KEY: &str = "0123456789abcdef";

#[derive(Default)]
struct Options {
    limits: Limits,
    credential: Option<&'static str>,
    keys: bool,
    tls: Option<Tls>,
}

/// A service with nothing but routes over plain HTTP.
struct Web {
    address: SocketAddr,
    stop: Stop,
    served: JoinHandle<Result<(), ServeError>>,
    _data: tempfile::TempDir,
}

impl Web {
    async fn start(options: Options) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut common = Common::default();
        common.data.dir = data.path().into();
        common.mesh.credential = options.credential.map(Secret::in_memory);
        common.tls = options.tls;
        let host = Host::bind("web", "127.0.0.1:0", &common).await.expect("a free port");
        let identity = Identity { tenant: "acme".into(), role: Role::Caller, name: "shop".into() };
        let keys = options.keys.then(|| Keys::new(vec![Key::new(KEY, identity)]));
        let (address, stop) = (host.address(), host.stop());
        let host = host.with_limits(options.limits).with_web("/web", routes(stop.clone())).with_keys(keys);
        let served = tokio::spawn(host.serve(Routes::default()));
        Self { address, stop, served, _data: data }
    }

    /// Sends a request by a connection of its own, and waits for the head of the answer.
    async fn send(&self, version: Version, request: Request<Full<Bytes>>) -> Response<hyper::body::Incoming> {
        send(TcpStream::connect(self.address).await.expect("it listens"), version, request).await
    }

    async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
        let answer = self.send(Version::HTTP_11, self.request(path, headers)).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
        (status, String::from_utf8(body.into()).expect("text"))
    }

    fn request(&self, path: &str, headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
        let mut request =
            Request::get(format!("http://{}{path}", self.address)).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::default()).expect("valid parts")
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.served).await;
        ended.expect("the drain is bounded").expect("no panic").expect("it ends well");
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    request: Request<Full<Bytes>>,
) -> Response<hyper::body::Incoming> {
    let io = TokioIo::new(stream);
    if version == Version::HTTP_2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        return sender.send_request(request).await.expect("an answer");
    }
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("it speaks HTTP/1.1");
    tokio::spawn(connection);
    sender.send_request(request).await.expect("an answer")
}

fn routes(stop: Stop) -> Router {
    let who = get(async |Extension(caller): Extension<Caller>| caller.tenant().unwrap_or("nobody").to_owned());
    let left = get(async || deadline::remaining().unwrap_or_default().as_millis().to_string());
    let echo = post(async |body: Bytes| body);
    let hang = get(async || std::future::pending::<()>().await);
    let flood = get(async || {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1 << 10])));
        axum::body::Body::from_stream(chunks)
    });
    // A stream that ends when the process drains, as every stream must.
    let stream = get(async move || {
        let frames = futures::stream::once(std::future::ready(Ok::<_, std::io::Error>(Bytes::from_static(b"first"))));
        let last = futures::stream::once(async move {
            stop.cancelled().await;
            Ok(Bytes::from_static(b" last"))
        });
        axum::body::Body::from_stream(futures::StreamExt::chain(frames, last)).into_response()
    });
    Router::new()
        .route("/web", who)
        .route("/web/left", left)
        .route("/web/echo", echo)
        .route("/web/hang", hang)
        .route("/web/stream", stream)
        .route("/web/flood", flood)
        .route("/web/panic", get(async || -> () { panic!("canary") }))
}

#[tokio::test]
async fn routes_are_served_over_both_versions_of_http_beside_health() {
    let web = Web::start(Options::default()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let answer = web.send(version, web.request("/web", &[])).await;
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(answer.into_body().collect().await.expect("a whole body").to_bytes(), "default");
    }
    assert_eq!(web.get("/healthz", &[]).await.0, 200);
    web.end().await;
}

/// A certificate for `localhost`, and what trusts it alone.
fn certificate() -> (Tls, RootCertStore) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(signed.cert.der().clone()).expect("it is one");
    let (chain, key) = (Secret::in_memory(signed.cert.pem()), Secret::in_memory(signed.signing_key.serialize_pem()));
    (Tls { certificate: Some(chain), key: Some(key), authority: None }, roots)
}

async fn secured(web: &Web, roots: &RootCertStore, alpn: &str) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it has some")
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.into()];
    let stream = TcpStream::connect(web.address).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("it is trusted")
}

#[tokio::test]
async fn behind_tls_a_client_gets_the_version_that_it_asks_for() {
    let (tls, roots) = certificate();
    let web = Web::start(Options { tls: Some(tls), ..Options::default() }).await;
    for (alpn, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        let secured = secured(&web, &roots, alpn).await;
        assert_eq!(secured.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
        let answer = send(secured, version, web.request("/web", &[])).await;
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    web.end().await;
}

#[tokio::test]
async fn one_request_too_many_is_refused_in_the_words_of_http() {
    let web =
        Web::start(Options { limits: Limits { in_flight_max: 1, ..Limits::default() }, ..Options::default() }).await;
    let held = web.send(Version::HTTP_11, web.request("/web/stream", &[])).await;
    let refused = web.send(Version::HTTP_11, web.request("/web", &[])).await;
    assert_eq!(refused.status().as_u16(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(web.get("/healthz", &[]).await.0, 200);
    drop(held);
    while web.get("/web", &[]).await.0 != 200 {
        tokio::task::yield_now().await;
    }
    web.end().await;
}

#[tokio::test]
async fn a_deadline_holds_over_plain_http_too() {
    let web = Web::start(Options::default()).await;
    let (_, left) = web.get("/web/left", &[("grpc-timeout", "30S")]).await;
    assert!((1..=30_000).contains(&left.parse().expect("milliseconds")), "{left}");
    assert_eq!(web.get("/web/hang", &[("grpc-timeout", "50m")]).await.0, 504);
    web.end().await;
}

#[tokio::test]
async fn a_panic_in_a_route_stays_within_its_request() {
    let web = Web::start(Options::default()).await;
    let (status, body) = web.get("/web/panic", &[]).await;
    assert_eq!(status, 500);
    assert!(!body.contains("canary"), "the text stays in the log: {body}");
    web.end().await;
}

#[tokio::test]
async fn a_key_opens_the_routes_and_a_stranger_is_told_what_to_show() {
    let web = Web::start(Options { credential: Some("s3cret"), keys: true, ..Options::default() }).await;
    let shown = |key: &str| format!("Bearer {key}");
    assert_eq!(web.get("/web", &[("authorization", &shown(KEY))]).await, (200, "acme".to_owned()));
    let mesh = [("authorization", "Bearer s3cret"), ("holdfast-tenant", "umbrella")];
    assert_eq!(web.get("/web", &mesh).await, (200, "umbrella".to_owned()));
    let stranger = web.send(Version::HTTP_11, web.request("/web", &[])).await;
    assert_eq!(stranger.status().as_u16(), 401);
    assert_eq!(stranger.headers()["www-authenticate"], "Bearer realm=\"holdfast\"");
    assert_eq!(web.get("/web", &[("authorization", &shown("wrong"))]).await.0, 401);
    assert_eq!(web.get("/elsewhere", &[("authorization", &shown(KEY))]).await.0, 401, "the rest is the mesh's own");
    web.end().await;
}

#[tokio::test]
async fn a_drain_ends_streams_and_serves_what_is_under_way() {
    let web = Web::start(Options::default()).await;
    let stream = web.send(Version::HTTP_11, web.request("/web/stream", &[])).await;
    web.end().await;
    assert_eq!(stream.into_body().collect().await.expect("it ends well").to_bytes(), "first last");
}

#[tokio::test]
async fn a_connection_that_never_says_what_it_wants_is_closed() {
    let limits = Limits { head_max: Duration::from_millis(50), ..Limits::default() };
    let web = Web::start(Options { limits, ..Options::default() }).await;
    for begun in ["", "PRI ", "PRI * HTTP/2.0\r\n\r\nSM", "GET /web HTTP/1.1\r\nhost: x\r\n"] {
        let mut silent = TcpStream::connect(web.address).await.expect("it listens");
        tokio::io::AsyncWriteExt::write_all(&mut silent, begun.as_bytes()).await.expect("it is read");
        let mut said = Vec::new();
        // It may be told why; then it is over.
        let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut said)).await;
        assert!(ended.is_ok(), "the connection is still open after {begun:?}");
    }
    web.end().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_after_its_handshake_is_closed() {
    let limits = Limits { head_max: Duration::from_millis(50), ..Limits::default() };
    let (tls, roots) = certificate();
    let web = Web::start(Options { limits, tls: Some(tls), ..Options::default() }).await;
    let mut silent = secured(&web, &roots, "h2").await;
    let mut said = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "the connection is still open");
    web.end().await;
}

#[tokio::test]
async fn a_reader_that_stands_still_over_http_1_gives_its_slot_back() {
    let limits = Limits { in_flight_max: 1, slow_max: Duration::from_millis(50), ..Limits::default() };
    let web = Web::start(Options { limits, ..Options::default() }).await;
    let _answer = web.send(Version::HTTP_11, web.request("/web/flood", &[])).await;
    let served = async { while web.get("/web", &[]).await.0 != 200 {} };
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("the slot is free again");
    web.end().await;
}

#[tokio::test]
async fn what_is_served_is_counted_by_its_own_name_and_status() {
    let telemetry =
        holdfast_telemetry::init("web", &Common::default().telemetry, None).expect("nobody has done it before");
    let web = Web::start(Options::default()).await;
    web.get("/web", &[]).await;
    web.get("/web/left?x", &[]).await;
    web.get("/made-up", &[]).await;
    web.get("/web", &[("holdfast-role", "nobody")]).await;
    let (_, page) = web.get("/metrics", &[]).await;
    for line in [
        r#"holdfast_requests_total{method="web",code="Ok"}"#,
        r#"holdfast_requests_total{method="web",code="InvalidArgument"}"#,
    ] {
        assert!(page.contains(line), "{line} is missing from\n{page}");
    }
    assert!(!page.contains("made-up"), "{page}");
    web.end().await;
    telemetry.shutdown().await;
}
