//! Providers that speak the OpenAI chat-completions protocol.

mod body;
mod events;
mod refusal;
mod wire;

use std::{net::IpAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use holdfast_config::Secret;
use reqwest::{
    Client, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};

use self::{body::WatchedBody, events::Events};
use super::{Call, Chunks, Failure, Provider};
use crate::domain::{Answer, Chunk, Form};

/// How to reach one provider.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The address, up to and including `/v1`.
    pub(crate) base_url: String,
    /// A further authority (PEM) that signs the provider's certificate.
    pub(crate) authority: Option<Secret>,
    /// Whether it is the mesh's own simulator, wherever that is.
    pub(crate) simulated: bool,
    pub(crate) connect_timeout: Duration,
    /// From the request to the whole answer, or to the beginning of a stream.
    pub(crate) timeout: Duration,
    /// Between two parts of a stream.
    pub(crate) idle_timeout: Duration,
    /// The most that one answer may be.
    pub(crate) answer_bytes_max: usize,
}

/// A provider.
#[derive(Debug)]
pub(crate) struct OpenAi {
    http: Client,
    url: String,
    /// Whether it is OpenAI itself, which has a newer name for the limit of tokens.
    original: bool,
    settings: Settings,
}

impl OpenAi {
    /// A client for the provider; it connects when it is first called.
    ///
    /// # Errors
    /// A sentence for the user: the authority cannot be used.
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        // One cryptography for the process; who was first is as good as we are.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
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
        if settings.simulated || is_loopback(&settings.base_url) {
            // The proxies that the environment names lead out of here.
            builder = builder.no_proxy();
        }
        if settings.base_url.starts_with("http://") {
            // No authority is needed, and a machine without any must still be able to start.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| format!("cannot be used: {error}"))?;
        let url = format!("{}/chat/completions", settings.base_url.trim_end_matches('/'));
        let original = settings.base_url.contains("//api.openai.com/");
        Ok(Self { http, url, original, settings })
    }

    /// Sends the request and reads the response's head.
    async fn send(&self, call: Call<'_>, streamed: bool) -> Result<Response, Failure> {
        let body = wire::request(&call, streamed, self.original);
        let arrival = call.arrival.clone();
        let mut request = self
            .http
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .body(reqwest::Body::wrap(WatchedBody::new(body.into(), call.arrival)));
        if let Some(key) = call.key {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal())).map_err(|_| {
                let message = "the key has characters that a header cannot carry".to_owned();
                Failure::KeyDenied { status: 0, message }
            })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|error| {
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
        let answer = wire::answer(&body).ok_or(Failure::Broken { how: "sent an answer that is not one" })?;
        Ok(Answer { json: (form == Form::Json).then_some(body), ..answer })
    }
}

impl Provider for OpenAi {
    fn whole<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Answer, Failure>> {
        within(self.settings.timeout, self.answer(call)).boxed()
    }

    fn stream<'c>(&'c self, call: Call<'c>) -> BoxFuture<'c, Result<Chunks, Failure>> {
        let opened = async move {
            let events = Events::new(self.settings.answer_bytes_max, call.ask.form);
            let response = within(self.settings.timeout, self.send(call, true)).await?;
            Ok(chunks(response, events, self.settings.idle_timeout).boxed())
        };
        opened.boxed()
    }
}

/// The events of a stream. It ends well only by the provider's own mark of the end.
fn chunks(
    response: Response,
    events: Events,
    idle_timeout: Duration,
) -> impl stream::Stream<Item = Result<Chunk, Failure>> {
    let state = Some((Box::pin(response.bytes_stream()), events));
    let batches = stream::unfold(state, move |state| async move {
        let (mut wire, mut events) = state?;
        let batch = match tokio::time::timeout(idle_timeout, wire.next()).await {
            Err(_) => Err(Failure::Broken { how: "fell silent" }),
            Ok(None) => Err(Failure::Broken { how: "broke off" }),
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "a provider broke off");
                Err(Failure::Broken { how: "broke off" })
            }
            Ok(Some(Ok(piece))) => events.feed(&piece),
        };
        match batch {
            Ok(chunks) => {
                let more = if events.ended() { None } else { Some((wire, events)) };
                Some((stream::iter(chunks).map(Ok).left_stream(), more))
            }
            Err(failure) => Some((stream::iter([Err(failure)]).right_stream(), None)),
        }
    });
    batches.flatten()
}

/// Whether a URL names this machine.
fn is_loopback(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    url.as_ref().and_then(reqwest::Url::host_str).is_some_and(|host| {
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        ip.map_or(host == "localhost", |ip| ip.is_loopback())
    })
}

async fn within<T>(time: Duration, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(time, call).await.unwrap_or(Err(Failure::Broken { how: "took too long" }))
}

/// A body, up to so many bytes.
async fn read(mut response: Response, bytes_max: usize) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > bytes_max => {
                return Err(Failure::Broken { how: "sent more than an answer may be" });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
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
