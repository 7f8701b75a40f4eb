//! MCP clients, on their way to the tool-proxy.

use holdfast_config::Peer;
use holdfast_rpc::web;
use http::{HeaderMap, Method};

use super::Site;

pub(super) const SITE: Site = Site {
    prefix: "/mcp",
    routes: &["/mcp"],
    peer: Peer::ToolProxy,
    refusal: web::refuse,
    may_say: &[],
    waits,
    ended: std::convert::identity,
};

/// The revision from which on a request's headers tell what it is. The tool-proxy refuses one that is something else.
const TOLD_SINCE: &str = "2026-07-28";

/// An older client's GET, or a newer one's subscription.
fn waits(method: &Method, headers: &HeaderMap) -> bool {
    let told = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let subscribes = told("mcp-method") == "subscriptions/listen" && told("mcp-protocol-version") >= TOLD_SINCE;
    method == Method::GET || subscribes
}
