//! The client's stack: what generated clients are made of inside the mesh, and for callers outside.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use holdfast_config::{Common, Peer, Tls};
use holdfast_resilience::{Breaker, Settings};
use holdfast_telemetry::traceparent;
use http::{HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};
use tonic::{
    ConnectError, Request, Status, TimeoutExpired,
    body::Body,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};
use tower::Service;

use crate::{Caller, Error, HttpRequest, HttpResponse, caller, deadline, io::Socket, lease, trace, watched::Watched};

/// Opening a connection ends within this long.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A silent connection is asked whether it lives, and dropped when it does not say so.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP/2 windows, as the server has them.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// When to come back to a peer that cannot be reached: connections are tried anew with each call.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// A peer that cannot be reached so many times in a row is left alone for the open time: callers are told at once.
const FAILURES_IN_A_ROW: u32 = 5;
const OPEN: Duration = Duration::from_millis(250);
const OPEN_MAX: Duration = Duration::from_secs(1);

/// A connection to one peer, made when it is first used and again when it broke. Every call carries the credential, what is
/// left of the deadline, and the trace; and it ends by its deadline, whatever the peer does. A breaker stands before it: while the
/// peer cannot be reached, callers are told so without waiting for another attempt.
#[derive(Debug, Clone)]
pub struct Channel {
    inner: tonic::transport::Channel,
    authorization: Option<HeaderValue>,
    breaker: Breaker,
    peer: &'static str,
}

impl Channel {
    /// The way to another service of the mesh.
    ///
    /// # Errors
    /// The peer's URL in `[mesh]` is not one.
    pub fn to(common: &Common, peer: Peer) -> Result<Self, Error> {
        let authority = common.tls.as_ref().and_then(Tls::trusted);
        let credential = common.mesh.credential.as_ref();
        Self::connect(
            peer.name(),
            common.mesh.url(peer),
            credential.map(|secret| secret.reveal()),
            authority.map(|secret| secret.reveal()),
        )
    }

    /// The way to a URL, with a bearer token (an API key) and, for https, the PEM of an authority to trust.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the URL, the token or the authority is malformed.
    pub fn connect(
        peer: &'static str,
        url: &str,
        bearer: Option<&str>,
        authority: Option<&str>,
    ) -> Result<Self, Error> {
        let malformed = |why: String| Error::invalid("address", format!("{url:?} {why}; write it as http://HOST:PORT"));
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|error| malformed(format!("is not a URL ({error})")))?
            .connect_timeout(CONNECT_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let uri = endpoint.uri();
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(malformed("has no host or another scheme than http and https".into()));
        }
        if uri.scheme_str() == Some("https") {
            let mut tls = ClientTlsConfig::new();
            if let Some(pem) = authority {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint =
                endpoint.tls_config(tls).map_err(|error| malformed(format!("cannot be used with TLS ({error})")))?;
        }
        let authorization = bearer
            .map(|token| HeaderValue::try_from(format!("Bearer {token}")))
            .transpose()
            .map_err(|_| Error::invalid("authorization", "the key has characters that a header cannot carry"))?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        Ok(Self {
            inner: endpoint.connect_with_connector_lazy(Connector),
            authorization,
            breaker: Breaker::new(breaker()),
            peer,
        })
    }
}

impl Service<HttpRequest> for Channel {
    type Response = HttpResponse;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx).map_err(|error| unreachable(self.peer, &error).into())
    }

    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        let now = Instant::now();
        let own = match deadline::parse(request.headers()) {
            Ok(own) => own.map(|span| now + span),
            Err(error) => return Box::pin(std::future::ready(Err(error.into()))),
        };
        let at = own.into_iter().chain(deadline::current()).min();
        let headers = request.headers_mut();
        if let Some(at) = at {
            let left = at.saturating_duration_since(now);
            if left.is_zero() {
                // Never sent, so it has not happened.
                let error = Error::new(tonic::Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed");
                return Box::pin(std::future::ready(Err(error.into())));
            }
            headers.insert(deadline::HEADER, deadline::format(left).parse().expect("digits and a unit"));
        }
        if let Some(value) = trace::outgoing().and_then(|text| text.parse().ok()) {
            headers.insert(traceparent::HEADER, value);
        }
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let peer = self.peer;
        let permit = match self.breaker.acquire() {
            Ok(permit) => permit,
            Err(refused) => {
                let error = Error::unavailable(format!("the {peer} cannot be reached"), refused.retry_after);
                return Box::pin(std::future::ready(Err(error.into())));
            }
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match at {
                Some(at) => tokio::time::timeout_at(at, answer).await,
                None => Ok(answer.await),
            };
            match answer {
                Ok(Ok(response)) => {
                    permit.success();
                    Ok(response.map(|body| Body::new(Watched::new(body, at, None))))
                }
                Ok(Err(error)) if !caused_by::<TimeoutExpired>(&error) => {
                    permit.failure();
                    Err(unreachable(peer, &error).into())
                }
                // The caller's deadline was short, or the peer is slow: no word about whether it can be reached.
                Ok(Err(_)) | Err(_) => Err(Error::deadline().into()),
            }
        })
    }
}

/// Guards against a peer that cannot be reached. What a peer that answers says is not this breaker's business.
fn breaker() -> Settings {
    Settings {
        failure_percent: 100,
        minimum_calls: FAILURES_IN_A_ROW,
        consecutive_failures: Some(FAILURES_IN_A_ROW),
        open: OPEN,
        open_max: OPEN_MAX,
        probes: 1,
        ..Settings::default()
    }
}

/// A transport error as UNAVAILABLE. A connection that was never made has sent nothing.
fn unreachable(peer: &str, error: &(dyn StdError + 'static)) -> Error {
    let wait = RETRY_AFTER.mul_f64(0.5 + rand::random::<f64>());
    if caused_by::<ConnectError>(error) {
        return Error::unavailable(format!("the {peer} cannot be reached"), wait);
    }
    Error::unavailable(format!("the connection to the {peer} broke"), wait).maybe_happened()
}

fn caused_by<E: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |error: &&(dyn StdError + 'static)| (*error).source())
        .any(|error| error.is::<E>())
}

/// Opens sockets that let h2 coalesce small frames.
#[derive(Debug, Clone, Copy)]
struct Connector;

impl Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<TokioIo<Socket>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
            let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
            let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(default))).await?;
            Ok(TokioIo::new(Socket::new(stream)?))
        })
    }
}

/// A call for a tenant, by a service of the mesh.
///
/// # Errors
/// INVALID_ARGUMENT: the name cannot stand in a header.
pub fn for_tenant<T>(mut request: Request<T>, tenant: &str) -> Result<Request<T>, Error> {
    insert(&mut request, caller::TENANT, tenant)?;
    Ok(request)
}

/// A call under a lease.
///
/// # Errors
/// INVALID_ARGUMENT: the token cannot stand in a header.
pub fn with_lease<T>(mut request: Request<T>, token: &str) -> Result<Request<T>, Error> {
    insert(&mut request, lease::HEADER, token)?;
    Ok(request)
}

/// A call that goes on for who called us: same tenant, same role, same lease (`token` as it came in).
///
/// # Errors
/// INVALID_ARGUMENT: something cannot stand in a header.
pub fn on_behalf<T>(mut request: Request<T>, caller: &Caller, token: Option<&str>) -> Result<Request<T>, Error> {
    if let Some(tenant) = caller.named_tenant() {
        insert(&mut request, caller::TENANT, tenant)?;
    }
    insert(&mut request, caller::ROLE, caller.role.name())?;
    insert(&mut request, caller::PRINCIPAL, &caller.principal)?;
    match token {
        Some(token) => with_lease(request, token),
        None => Ok(request),
    }
}

fn insert<T>(request: &mut Request<T>, name: &'static str, value: &str) -> Result<(), Error> {
    let value = HeaderValue::try_from(value).map_err(|_| Error::invalid(name, "must be plain ASCII"))?;
    let headers = request.metadata_mut().as_mut();
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}
