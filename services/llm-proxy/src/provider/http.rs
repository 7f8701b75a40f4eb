//! Providers over HTTP: what their protocols have in common. One connection carries one call at a time (HTTP/1.1): so a
//! request that is written is at the provider, and one that is given up ends with its connection.

mod body;
mod discreet;
mod refusal;
mod stream;

use std::{net::IpAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use holdfast_config::Secret;
use holdfast_rpc::trace;
use reqwest::{
    Client, Method, Request, Response, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::Instant;

use self::body::WatchedBody;
#[cfg(test)]
pub(super) use self::stream::tests::read as read_stream;
pub(super) use self::{refusal::judge_said, stream::Reader};
use super::{Call, Chunks, Failure, Provider};
use crate::domain::{Answer, Ask, Form};

/// W3C trace context. Source: <https://www.w3.org/TR/trace-context/>
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How to reach one provider.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Its address, with the version in the path where the protocol wants one.
    pub(crate) base_url: String,
    /// A further authority (PEM) that signs the provider's certificate.
    pub(crate) authority: Option<Secret>,
    /// Whether it is the mesh's own simulator, wherever that is.
    pub(crate) simulated: bool,
    pub(crate) connect_timeout: Duration,
    /// From the request to the whole answer, or to the first event of a stream.
    pub(crate) timeout: Duration,
    /// Between two pieces of a stream.
    pub(crate) idle_timeout: Duration,
    /// The most that one answer may be.
    pub(crate) answer_bytes_max: usize,
    /// Whether it is told the trace that a call belongs to; where nothing is said, only on this machine: what passes
    /// through here is no stranger's affair.
    pub(crate) trace: Option<bool>,
}

/// What a model is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'c> {
    pub(crate) ask: &'c Ask,
    pub(crate) model: &'c str,
    pub(crate) max_output_tokens: Option<u32>,
    /// The answer is to come event by event.
    pub(crate) streamed: bool,
}

/// What a protocol says and understands.
pub(crate) trait Protocol: std::fmt::Debug + Send + Sync + 'static {
    type Reader: Reader;

    /// Where a model is asked.
    fn url(&self, model: &str) -> Url;

    /// The header that shows the key, and what stands there before it.
    fn auth(&self) -> (HeaderName, &'static str);

    /// The body of a request.
    ///
    /// # Errors
    /// The protocol has no word for what a field says.
    fn request(&self, question: Question<'_>) -> Result<Vec<u8>, Failure>;

    /// A whole answer.
    ///
    /// # Errors
    /// It is none, or says what went wrong.
    fn answer(&self, body: Bytes, form: Form) -> Result<Answer, Failure>;

    /// What reads the events of one answer.
    fn reader(&self, form: Form) -> Self::Reader;
}

/// A provider with its connections.
#[derive(Debug)]
pub(crate) struct Http<P> {
    http: Client,
    protocol: P,
    settings: Settings,
    /// Whether the provider is told of traces.
    traced: bool,
}

impl<P: Protocol> Http<P> {
    /// A client for the provider; it connects when it is first called. The headers go with every request.
    ///
    /// # Errors
    /// A sentence for the user: the authority cannot be used.
    pub(super) fn new(protocol: P, mut headers: HeaderMap, settings: Settings) -> Result<Self, String> {
        // One cryptography for the process; who was first is as good as we are.
        let _ = rustls::crypto::ring::default_provider().install_default();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut builder = Client::builder()
            .default_headers(headers)
            // On a shared connection a request could wait unsent behind others, and yet count as sent.
            .http1_only()
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            // A request that is sent twice counts twice: whoever counts decides about that.
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            // Shorter than providers keep theirs: a request must not meet a connection that is just being closed.
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")));
        if let Some(authority) = &settings.authority {
            let certificates = reqwest::Certificate::from_pem_bundle(authority.reveal().as_bytes());
            builder = builder.tls_certs_merge(certificates.map_err(|error| format!("is not usable PEM: {error}"))?);
        }
        let here = settings.simulated || is_loopback(&settings.base_url);
        if here {
            // The proxies that the environment names lead out of here.
            builder = builder.no_proxy();
        }
        if settings.base_url.starts_with("http://") {
            // No authority is needed, and a machine without any must still be able to start.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| format!("cannot be used: {error}"))?;
        let traced = settings.trace.unwrap_or(here);
        Ok(Self { http, protocol, settings, traced })
    }

    #[cfg(test)]
    pub(super) fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Sends the request and reads the response's head.
    async fn send(&self, call: Call<'_>, streamed: bool) -> Result<Response, Failure> {
        let Call { ask, model, max_output_tokens, key, arrival } = call;
        let body = self.protocol.request(Question { ask, model, max_output_tokens, streamed })?;
        let mut request = Request::new(Method::POST, self.protocol.url(model));
        if let Some(key) = key {
            let (header, prefix) = self.protocol.auth();
            request.headers_mut().insert(header, credential(prefix, key)?);
        }
        if self.traced
            && let Some(trace) = trace::outgoing().and_then(|text| text.parse().ok())
        {
            request.headers_mut().insert(TRACEPARENT, trace);
        }
        let sent = {
            let arrival = arrival.clone();
            move || arrival.sent()
        };
        *request.body_mut() = Some(reqwest::Body::wrap(WatchedBody::new(body.into(), sent)));
        let response = self.http.execute(request).await.map_err(|error| {
            tracing::debug!(%error, "a provider did not answer");
            if error.is_connect() { Failure::Unreachable } else { Failure::Broken { how: "broke the connection" } }
        })?;
        arrival.answered();
        if response.status().is_success() { Ok(response) } else { Err(refusal::read(response).await) }
    }

    async fn answer(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let form = call.ask.form;
        let response = self.send(call, false).await?;
        let body = read(response, self.settings.answer_bytes_max).await?;
        self.protocol.answer(body, form)
    }

    async fn open(&self, call: Call<'_>) -> Result<Chunks, Failure> {
        let first_by = Instant::now() + self.settings.timeout;
        let reader = self.protocol.reader(call.ask.form);
        let response = within(self.settings.timeout, self.send(call, true)).await?;
        Ok(stream::chunks(response, reader, first_by, &self.settings).boxed())
    }
}

impl<P: Protocol> Provider for Http<P> {
    fn whole<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Answer, Failure>> {
        let key = call.key;
        within(self.settings.timeout, self.answer(call))
            .map(move |answer| answer.map_err(|it| it.discreet(key)))
            .boxed()
    }

    fn stream<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Chunks, Failure>> {
        let key = call.key;
        let open = self.open(call);
        async move {
            let chunks = open.await.map_err(|failure| failure.discreet(key))?;
            let key = key.cloned();
            Ok(chunks.map(move |chunk| chunk.map_err(|failure| failure.discreet(key.as_ref()))).boxed())
        }
        .boxed()
    }
}

/// The provider's address.
pub(super) fn address(settings: &Settings) -> Result<Url, String> {
    let url = Url::parse(&settings.base_url).map_err(|error| format!("is no address: {error}"))?;
    if url.cannot_be_a_base() { Err("is no address of a server".into()) } else { Ok(url) }
}

/// Goes on in the path. A name with a slash stays one name.
pub(super) fn push(url: &mut Url, names: &[&str]) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(names);
    }
}

fn credential(prefix: &str, key: &Secret) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("{prefix}{}", key.reveal())).map_err(|_| {
        let message = "the key has characters that a header cannot carry".to_owned();
        Failure::KeyDenied { status: 0, message }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a URL names this machine.
fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host_str).is_some_and(|host| {
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        ip.map_or(host == "localhost", |ip| ip.is_loopback())
    })
}

async fn within<T>(time: Duration, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(time, call).await.unwrap_or(Err(Failure::Broken { how: "took too long" }))
}

/// A body, up to so many bytes. Most come in one piece, which is not copied.
async fn read(mut response: Response, bytes_max: usize) -> Result<Bytes, Failure> {
    let (mut first, mut body) = (Bytes::new(), BytesMut::new());
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if first.len() + body.len() + piece.len() > bytes_max => {
                return Err(Failure::Broken { how: "sent more than an answer may be" });
            }
            Ok(Some(piece)) if first.is_empty() && body.is_empty() => first = piece,
            Ok(Some(piece)) => {
                body.extend_from_slice(&std::mem::take(&mut first));
                body.extend_from_slice(&piece);
            }
            Ok(None) if body.is_empty() => return Ok(first),
            Ok(None) => return Ok(body.freeze()),
            Err(error) => {
                tracing::debug!(%error, "a provider broke off");
                return Err(Failure::Broken { how: "broke off" });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for url in ["http://127.0.0.1:7076/v1", "http://[::1]:80/v1", "https://localhost/v1", "http://127.8.0.1/"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://api.openai.com/v1", "http://10.0.0.1/v1", "https://localhost.example/v1", "no url"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
