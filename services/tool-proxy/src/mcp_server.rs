//! All tools of the mesh for any MCP client, at `/mcp`: the current revision, in which every request stands for itself, and the
//! older ones. A call goes the way of every other call; nothing in here decides anything about tools.
//!
//! Nothing is kept for a client. What an older one takes for a session is a name under which it can cancel its calls, so
//! any process serves any client, and a restart ends no session.

mod call;
mod endpoint;
mod handler;
mod listing;
mod news;
mod passage;
mod refusal;
mod result;
mod running;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use holdfast_rpc::web::Guard;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use self::endpoint::Endpoint;
use self::handler::Handler;
use self::running::Running;
use crate::config::McpServer;
use crate::grpc::Tools;

/// Where it is served.
pub(crate) const PATH: &str = "/mcp";

/// The routes under [`PATH`]. `body_bytes_max` bounds a whole message.
pub(crate) fn routes(tools: &Arc<Tools>, settings: &McpServer, is_loopback: bool, body_bytes_max: usize) -> Router {
    let handler = Handler::new(Arc::clone(tools));
    // Who may come from where is checked before, for every method. An answer is one JSON object unless there is more to say.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(body_bytes_max)
        .disable_allowed_hosts();
    let service =
        StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(NeverSessionManager::default()), config);
    let endpoint = Arc::new(Endpoint {
        service,
        guard: Guard::new(&settings.hosts, &settings.origins, is_loopback),
        running: Running::default(),
        tools: Arc::clone(tools),
        body_bytes_max,
    });
    let methods = post(endpoint::post).get(endpoint::get).delete(endpoint::delete);
    Router::new().route(PATH, methods).with_state(endpoint)
}
