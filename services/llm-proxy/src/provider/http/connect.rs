//! How a provider is reached: straight, or through the proxy that the environment names, and over TLS where its address says so.

mod line;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Uri, header::USER_AGENT, uri::Scheme};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::Matcher,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;
use tokio::time::timeout;
use tower::{BoxError, Service};

use self::line::Line;
use super::{Settings, client::AGENT};

/// Between two signs of life on a connection on which nothing comes: a model may think for minutes.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Signs of life without an answer until a connection is given up,
const SIGNS_MAX: u32 = 3;
/// and how long what was written to it may go unanswered.
const UNANSWERED_MAX: Duration = Duration::from_secs(30);

/// What the kernel may hold of an answer that nobody reads here: it would go up to megabytes for each, which count against a
/// container's memory. Models write slower than this lets through, however far away they are.
const UNREAD_MAX: usize = 128 << 10;

/// Makes the connections to one provider. The client clones it for each request, and needs it for few.
#[derive(Debug, Clone)]
pub(super) struct Connector(Arc<Means>);

#[derive(Debug)]
struct Means {
    secured: HttpsConnector<Way>,
    proxies: Option<Arc<Matcher>>,
    timeout: Duration,
}

/// The way to a server, without the TLS that is spoken with it.
#[derive(Debug, Clone)]
struct Way {
    straight: HttpConnector,
    /// To a proxy, with whom TLS may be spoken too.
    to_proxy: HttpsConnector<HttpConnector>,
    proxies: Option<Arc<Matcher>>,
}

impl Connector {
    /// # Errors
    /// A sentence for the user: the authority cannot be used, or this machine trusts none.
    pub(super) fn new(settings: &Settings, direct: bool) -> Result<Self, String> {
        let proxies = (!direct).then(|| Arc::new(Matcher::from_env()));
        let tls = Arc::new(trust(settings, proxies.as_deref())?);
        let mut straight = HttpConnector::new();
        straight.enforce_http(false);
        straight.set_nodelay(true);
        straight.set_recv_buffer_size(Some(UNREAD_MAX));
        straight.set_keepalive(Some(SIGN_OF_LIFE));
        straight.set_keepalive_interval(Some(SIGN_OF_LIFE));
        straight.set_keepalive_retries(Some(SIGNS_MAX));
        #[cfg(target_os = "linux")]
        straight.set_tcp_user_timeout(Some(UNANSWERED_MAX));
        let to_proxy = HttpsConnector::from((straight.clone(), Arc::clone(&tls)));
        let way = Way { straight, to_proxy, proxies: proxies.clone() };
        let secured = HttpsConnector::from((way, tls));
        Ok(Self(Arc::new(Means { secured, proxies, timeout: settings.connect_timeout })))
    }

    /// What a request itself shows a proxy: one without a tunnel through it.
    pub(super) fn shown_with(&self, to: &Uri) -> Option<HeaderValue> {
        if to.scheme() != Some(&Scheme::HTTP) {
            return None;
        }
        self.0.proxies.as_ref()?.intercept(to)?.basic_auth().cloned()
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Line>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connected = timeout(self.0.timeout, self.0.secured.clone().call(to));
        async move { connected.await? }.boxed()
    }
}

impl Service<Uri> for Way {
    type Response = Line;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Line, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.as_ref().and_then(|proxies| proxies.intercept(&to)) else {
            let connected = self.straight.call(to);
            return async move { Ok(Line { stream: connected.await?.into(), proxied: false }) }.boxed();
        };
        if to.scheme() != Some(&Scheme::HTTPS) {
            let connected = self.to_proxy.call(proxy.uri().clone());
            return async move { Ok(Line { stream: connected.await?, proxied: true }) }.boxed();
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone())
            .with_headers(HeaderMap::from_iter([(USER_AGENT, AGENT)]));
        if let Some(credential) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credential.clone());
        }
        let connected = tunnel.call(to);
        async move { Ok(Line { stream: connected.await?, proxied: false }) }.boxed()
    }
}

/// Whom we trust: what this machine does, and the authority that is configured.
fn trust(settings: &Settings, proxies: Option<&Matcher>) -> Result<ClientConfig, String> {
    let unusable = |error: rustls::Error| format!("cannot be used: {error}");
    // One cryptography for the process; who was first is as good as we are.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = CryptoProvider::get_default().cloned().ok_or("cannot be used: there is no cryptography")?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let to: Uri = settings.base_url.parse().unwrap_or_default();
    let proxy = proxies.and_then(|proxies| proxies.intercept(&to));
    let over_tls = |to: &Uri| to.scheme() == Some(&Scheme::HTTPS);
    if settings.base_url.starts_with("http://") && !proxy.is_some_and(|proxy| over_tls(proxy.uri())) {
        // No authority is needed, and a machine without any must still be able to start.
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let authority = settings.authority.as_ref().map_or("", |authority| authority.reveal());
    let authority: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(authority.as_bytes()).collect();
    let authority = authority.map_err(|error| format!("is not usable PEM: {error}"))?;
    let verifier = Verifier::new_with_extra_roots(authority, provider).map_err(unusable)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut tls = builder.with_no_client_auth();
    // On a shared connection a request could wait unsent behind others, and yet count as sent.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}
