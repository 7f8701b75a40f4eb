//! The client's stack: what generated clients are made of inside the mesh, and for callers outside.

mod address;
mod connector;
mod lent;
mod several;
mod unanswered;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use holdfast_config::{Common, Peer, Tls};
use holdfast_telemetry::traceparent;
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use tokio::time::Instant;
use tonic::{Request, Status};
use tower::Service;

pub use self::unanswered::Unanswered;
use self::{
    address::{Address, settle},
    several::Several,
};
use crate::{Caller, Error, HttpRequest, HttpResponse, caller, deadline, lease, trace};

/// A connection to one peer, made when it is first used and again when it broke. Every call carries the credential, what is
/// left of the deadline, and the trace; and it ends by its deadline, whatever the peer does. A breaker stands before it: while the
/// peer cannot be reached, callers are told so without waiting for another attempt. Where the peer has several addresses,
/// calls go to the next at once when one cannot be reached, and come back to it later.
#[derive(Debug, Clone)]
pub struct Channel {
    way: Way,
    authorization: Option<HeaderValue>,
    peer: &'static str,
}

#[derive(Debug, Clone)]
enum Way {
    One(Address),
    Several(Arc<Several>),
}

impl Channel {
    /// The way to another service of the mesh, at any of its addresses.
    ///
    /// # Errors
    /// One of the peer's URLs in `[mesh]` is not one.
    pub fn to(common: &Common, peer: Peer) -> Result<Self, Error> {
        let authority = common.tls.as_ref().and_then(Tls::trusted);
        let credential = common.mesh.credential.as_ref();
        Self::connect_any(
            peer.name(),
            &common.mesh.urls(peer),
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
        Self::connect_any(peer, &[url], bearer, authority)
    }

    /// The same for a peer that has several URLs, any of which will do.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: there is none, or something is malformed.
    pub fn connect_any(
        peer: &'static str,
        urls: &[&str],
        bearer: Option<&str>,
        authority: Option<&str>,
    ) -> Result<Self, Error> {
        let authorization = bearer
            .map(|token| HeaderValue::try_from(format!("Bearer {token}")))
            .transpose()
            .map_err(|_| Error::invalid("authorization", "the key has characters that a header cannot carry"))?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let way = match urls {
            [] => return Err(Error::invalid("address", format!("there is no address of the {peer}"))),
            [url] => Way::One(Address::new(url, authority, false)?),
            several => {
                let addresses = several.iter().map(|url| Address::new(url, authority, true));
                Way::Several(Arc::new(Several::new(addresses.collect::<Result<_, _>>()?)))
            }
        };
        Ok(Self { way, authorization, peer })
    }

    /// Begins with one of the peer's addresses (counted round) instead of one by chance.
    #[must_use]
    pub fn beginning_at(self, address: usize) -> Self {
        if let Way::Several(several) = &self.way {
            several.set_home(address);
        }
        self
    }

    /// The address in use takes calls and does not answer them: where there are others, they come first for a while.
    pub fn leave_address(&self) {
        if let Way::Several(several) = &self.way {
            several.leave();
        }
    }
}

impl Service<HttpRequest> for Channel {
    type Response = HttpResponse;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        match &mut self.way {
            Way::One(address) => {
                address.connection.poll_ready(cx).map_err(|error| unanswered::failed(self.peer, &error))
            }
            Way::Several(_) => Poll::Ready(Ok(())),
        }
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
        let address = match &mut self.way {
            Way::One(address) => address,
            Way::Several(several) => {
                let several = several.clone();
                return Box::pin(async move { several.send(request, at, peer).await });
            }
        };
        let verdict = match address.acquire() {
            Ok(verdict) => verdict,
            Err(refused) => {
                let refusal = unanswered::not_reached(peer, refused.retry_after);
                return Box::pin(std::future::ready(Err(refusal)));
            }
        };
        let answer = address.connection.call(request);
        Box::pin(async move { settle(answer, at, verdict, peer).await.map_err(Status::from) })
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
