//! The other services, for clients outside of the mesh: their calls pass as they are, streams and trailers included. Only who
//! is calling is written anew: by us, and believed by the service behind.

mod body;
mod methods;
mod web;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use holdfast_config::{Common, Peer};
use holdfast_rpc::caller::{Caller, PRINCIPAL, ROLE, TENANT};
use holdfast_rpc::lease::{self, LeaseKey};
use holdfast_rpc::service::Stop;
use holdfast_rpc::{Channel, Error, HttpResponse};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::admission::{Admission, Kind, Place};
use crate::outflow::Outflow;

use body::{Passed, Upward};

pub(crate) use web::Site;

/// The services behind this door.
const SERVICES: [(&str, Peer); 4] = [
    ("holdfast.queue.v1.QueueService", Peer::Queue),
    ("holdfast.state.v1.StateService", Peer::State),
    ("holdfast.tool.v1.ToolService", Peer::ToolProxy),
    ("holdfast.llm.v1.LlmService", Peer::LlmProxy),
];

/// The doors to the services behind.
pub(crate) struct Passthrough {
    pub(crate) admission: Admission,
    pub(crate) outflow: Outflow,
    /// Knows what the queue has signed.
    pub(crate) lease_key: LeaseKey,
    pub(crate) stop: Stop,
}

impl Passthrough {
    /// A route to each service behind.
    ///
    /// # Errors
    /// A URL in `[mesh]` is not one.
    pub(crate) fn routes(self: &Arc<Self>, common: &Common) -> Result<axum::Router, Error> {
        let mut router = axum::Router::new();
        for (service, peer) in SERVICES {
            let way = Arc::new(Way { peer: peer.name(), channel: Channel::to(common, peer)?, door: Arc::clone(self) });
            let pass = any(move |request: Request| {
                let way = way.clone();
                async move { way.pass(request).await.unwrap_or_else(|error| answer(Status::from(error).into_http())) }
            });
            router = router.route(&format!("/{service}/{{method}}"), pass);
        }
        Ok(router)
    }

    /// A place for a call of this kind, which may show a lease: what brings running work on is no new load.
    fn admit(&self, request: &Request, tenant: &str, kind: Kind) -> Result<Place, Error> {
        let is_leased = kind == Kind::Call && self.is_leased(request, tenant);
        self.admission.admit(tenant, if is_leased { Kind::Leased } else { kind })
    }

    /// Whether a call comes from work under a lease: only the queue can have said so.
    fn is_leased(&self, request: &Request, tenant: &str) -> bool {
        let shown = request.headers().get(lease::HEADER).and_then(|token| token.to_str().ok());
        let token = shown.and_then(|token| self.lease_key.verify(token).ok());
        token.is_some_and(|token| token.tenant == tenant)
    }
}

/// The way to one service.
struct Way {
    peer: &'static str,
    channel: Channel,
    door: Arc<Passthrough>,
}

impl Way {
    async fn pass(&self, request: Request) -> Result<Response, Error> {
        let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
        if !request.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc) {
            return Ok(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Error::unauthenticated("nobody said who is calling"))?;
        let place = self.door.admit(&request, caller.tenant()?, methods::kind(request.uri().path()))?;
        let slow = methods::slow(request.uri().path());
        let stop = methods::is_endless(request.uri().path()).then(|| self.door.stop.clone());
        let (parts, body) = request.into_parts();
        let body = match &stop {
            Some(stop) => Body::new(Upward::new(Body::new(body), stop.clone())),
            None => Body::new(body),
        };
        let mut onward = http::Request::new(body);
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = parts.uri;
        *onward.version_mut() = http::Version::HTTP_2;
        *onward.headers_mut() = parts.headers;
        introduce(onward.headers_mut(), &caller)?;
        Ok(match self.channel.clone().oneshot(onward).await {
            Ok(response) => answer(response.map(|body| {
                let passed = Body::new(Passed::new(body, self.peer, stop));
                self.door.outflow.keep(passed, slow, place)
            })),
            Err(status) => answer(status.into_http()),
        })
    }
}

/// Replaces what the client says of itself by what we know. Of the mesh's own headers only the lease passes: it is signed.
fn introduce(headers: &mut HeaderMap, caller: &Caller) -> Result<(), Error> {
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("holdfast-") && *name != lease::HEADER)
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::HOST);
    let tenant = caller.tenant()?;
    for (name, value) in [(TENANT, tenant), (ROLE, caller.role.name()), (PRINCIPAL, &caller.principal)] {
        let value = HeaderValue::try_from(value).map_err(|_| Error::invalid(name, "must be plain ASCII"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

fn answer(response: HttpResponse) -> Response {
    response.map(axum::body::Body::new)
}

fn plain(code: StatusCode) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use holdfast_rpc::Role;

    use super::*;

    #[test]
    fn of_what_a_client_says_of_itself_only_the_lease_passes() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer key"),
            ("holdfast-tenant", "umbrella"),
            ("holdfast-role", "mesh"),
            ("holdfast-principal", "root"),
            ("holdfast-whatever-comes", "x"),
            ("holdfast-lease", "signed"),
            ("grpc-timeout", "1S"),
            ("x-own", "y"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().expect("a header value"));
            headers.append(HeaderName::from_static(name), value.parse().expect("a header value"));
        }
        introduce(&mut headers, &Caller::of_tenant("acme", Role::Worker, "shop")).expect("plain ASCII");
        let all = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("holdfast-tenant"), ["acme"]);
        assert_eq!(all("holdfast-role"), ["worker"]);
        assert_eq!(all("holdfast-principal"), ["shop"]);
        assert_eq!(all("holdfast-lease"), ["signed", "signed"]);
        assert_eq!(all("x-own"), ["y", "y"]);
        assert!(all("authorization").is_empty() && all("holdfast-whatever-comes").is_empty());
    }
}
