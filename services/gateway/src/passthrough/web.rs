//! Clients from outside that speak plain HTTP, on their way to the service that speaks it with them: passed on as they are, with
//! a few more things to look at than by gRPC.

mod mcp;
mod openai;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use holdfast_config::{Common, Peer};
use holdfast_rpc::caller::Caller;
use holdfast_rpc::web::{Guard, Refusal};
use holdfast_rpc::{Channel, Error, HttpResponse};
use http::{HeaderMap, HeaderName, Method, header};
use tonic::body::Body;
use tower::ServiceExt as _;

use super::body::Passed;
use super::{Passthrough, Way, answer, introduce};
use crate::admission::Kind;
use crate::outflow::Slow;

/// A path, the same here as at the service behind, and what is particular to its clients.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub(crate) prefix: &'static str,
    routes: &'static [&'static str],
    peer: Peer,
    /// How errors of this door look to them.
    pub(crate) refusal: Refusal,
    /// What they may say to the service behind by headers of the mesh's name, beside the lease.
    may_say: &'static [&'static str],
    /// Whether a request stays for news, until its client or this process ends.
    waits: fn(&Method, &HeaderMap) -> bool,
    /// How an answer that breaks off on its way ends.
    ended: fn(HttpResponse) -> HttpResponse,
}

impl Site {
    pub(crate) const MCP: Self = mcp::SITE;
    pub(crate) const OPENAI: Self = openai::SITE;
}

impl Passthrough {
    /// The routes of a site. `hosts` are those that its clients may mean.
    ///
    /// # Errors
    /// The URL of the service behind in `[mesh]` is not one.
    pub(crate) fn web(
        self: &Arc<Self>,
        site: Site,
        common: &Common,
        hosts: &[String],
        is_loopback: bool,
    ) -> Result<axum::Router, Error> {
        let (peer, channel) = (site.peer.name(), Channel::to(common, site.peer)?);
        let way = Arc::new(Way { peer, channel, door: Arc::clone(self) });
        let guard = Arc::new(Guard::new(hosts, &[], is_loopback));
        let pass = any(move |request: Request| {
            let (way, guard) = (way.clone(), guard.clone());
            async move { way.pass_web(&site, &guard, request).await.unwrap_or_else(|error| answer((site.refusal)(&error))) }
        });
        Ok(site.routes.iter().fold(axum::Router::new(), |router, route| router.route(route, pass.clone())))
    }
}

impl Way {
    async fn pass_web(&self, site: &Site, guard: &Guard, request: Request) -> Result<Response, Error> {
        // Origins are for the service behind to judge; the host that the client means is known only here.
        guard.check_host(request.uri(), request.headers())?;
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Error::unauthenticated("nobody said who is calling"))?;
        let waits = (site.waits)(request.method(), request.headers());
        let place = self.door.admit(&request, caller.tenant()?, if waits { Kind::Wait } else { Kind::Call })?;
        let (parts, body) = request.into_parts();
        let said = |name: &HeaderName| parts.headers.get(name).map(|value| (name.clone(), value.clone()));
        let own = site.may_say.iter().map(|name| HeaderName::from_static(name));
        // Where the mesh has a credential it takes the place of the key; where it has none, the service behind asks for the key.
        let kept: Vec<_> = own.chain([header::AUTHORIZATION]).filter_map(|name| said(&name)).collect();
        let mut onward = http::Request::new(Body::new(body));
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = parts.uri;
        *onward.version_mut() = http::Version::HTTP_2;
        *onward.headers_mut() = parts.headers;
        introduce(onward.headers_mut(), &caller)?;
        onward.headers_mut().extend(kept);
        for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE] {
            onward.headers_mut().remove(name);
        }
        let (slow, stop) = if waits { (Slow::Dropped, Some(self.door.stop.clone())) } else { (Slow::WaitedFor, None) };
        let response = self.channel.clone().oneshot(onward).await?;
        let kept =
            response.map(|body| self.door.outflow.keep(Body::new(Passed::new(body, self.peer, stop)), slow, place));
        Ok(answer((site.ended)(kept)))
    }
}
