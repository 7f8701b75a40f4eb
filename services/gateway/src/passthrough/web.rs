//! MCP clients from outside, on their way to the tool-proxy: plain HTTP, with one more thing to look at.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use holdfast_config::{Common, Peer};
use holdfast_rpc::caller::Caller;
use holdfast_rpc::web::{self, Guard};
use holdfast_rpc::{Channel, Error};
use http::{HeaderMap, Method, header};
use tonic::body::Body;
use tower::ServiceExt as _;

use super::body::Passed;
use super::{Passthrough, Way, answer, introduce};
use crate::admission::Kind;
use crate::outflow::Slow;

/// Where MCP is spoken, here as there.
pub(crate) const PATH: &str = "/mcp";

/// The revision from which on a request's headers tell what it is. The tool-proxy refuses one that is something else.
const TOLD_SINCE: &str = "2026-07-28";

impl Passthrough {
    /// The route for MCP clients.
    ///
    /// # Errors
    /// The URL of the tool-proxy in `[mesh]` is not one.
    pub(crate) fn web(
        self: &Arc<Self>,
        common: &Common,
        hosts: &[String],
        is_loopback: bool,
    ) -> Result<axum::Router, Error> {
        let (peer, channel) = (Peer::ToolProxy, Channel::to(common, Peer::ToolProxy)?);
        let way = Arc::new(Way { peer: peer.name(), channel, door: Arc::clone(self) });
        let guard = Arc::new(Guard::new(hosts, &[], is_loopback));
        let pass = any(move |request: Request| {
            let (way, guard) = (way.clone(), guard.clone());
            async move { way.pass_web(&guard, request).await.unwrap_or_else(|error| answer(web::refuse(&error))) }
        });
        Ok(axum::Router::new().route(PATH, pass))
    }
}

impl Way {
    async fn pass_web(&self, guard: &Guard, request: Request) -> Result<Response, Error> {
        // Origins are for the tool-proxy to judge; the host that the client means is known only here.
        guard.check_host(request.uri(), request.headers())?;
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Error::unauthenticated("nobody said who is calling"))?;
        let waits = waits(request.method(), request.headers());
        let kind = if waits { Kind::Wait } else { Kind::Call };
        let free = kind == Kind::Call && self.door.is_leased(&request, caller.tenant()?);
        let place = (!free).then(|| self.door.admission.admit(caller.tenant()?, kind)).transpose()?;
        let (parts, body) = request.into_parts();
        let key = parts.headers.get(header::AUTHORIZATION).cloned();
        let mut onward = http::Request::new(Body::new(body));
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = parts.uri;
        *onward.version_mut() = http::Version::HTTP_2;
        *onward.headers_mut() = parts.headers;
        introduce(onward.headers_mut(), &caller)?;
        if let Some(key) = key {
            // Where the mesh has a credential it takes this place; where it has none, the tool-proxy asks for the key.
            onward.headers_mut().insert(header::AUTHORIZATION, key);
        }
        for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE] {
            onward.headers_mut().remove(name);
        }
        let (slow, stop) = if waits { (Slow::Dropped, Some(self.door.stop.clone())) } else { (Slow::WaitedFor, None) };
        let response = self.channel.clone().oneshot(onward).await?;
        Ok(answer(
            response.map(|body| self.door.outflow.keep(Body::new(Passed::new(body, self.peer, stop)), slow, place)),
        ))
    }
}

/// Whether a request stays for news, until its client or this process ends: an older client's GET, or a newer one's
/// subscription.
fn waits(method: &Method, headers: &HeaderMap) -> bool {
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let subscribes = told("mcp-method") == "subscriptions/listen" && told("mcp-protocol-version") >= TOLD_SINCE;
    method == Method::GET || subscribes
}
