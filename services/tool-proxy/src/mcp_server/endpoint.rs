//! The path over HTTP: who comes from where, the message as a whole, and what an older client takes for its session.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use holdfast_rpc::web::{self, Guard};
use holdfast_rpc::{Caller, Error, id};
use http_body_util::Full;
use rmcp::ErrorData;
use rmcp::model::{JsonRpcError, ProtocolVersion};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde::Deserialize;
use serde_json::Value;

use super::handler::Handler;
use super::news;
use super::passage::Passage;
use super::running::{Name, Running};
use crate::grpc::Tools;

/// How long a message may be on its way.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The headers of the protocol.
const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
/// Ours has 36.
const SESSION_BYTES_MAX: usize = 128;

/// What serves the path.
pub(super) struct Endpoint {
    pub(super) service: StreamableHttpService<Handler, NeverSessionManager>,
    pub(super) guard: Guard,
    pub(super) running: Running,
    pub(super) tools: Arc<Tools>,
    pub(super) body_bytes_max: usize,
}

/// What must be known of a message before it is read.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    id: Option<Value>,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "requestId")]
    request_id: Option<Value>,
}

/// A message, and its answer.
pub(super) async fn post(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    endpoint.answer(request).await.unwrap_or_else(|error| refuse(&error))
}

/// An older client waits here for the news that the list of tools has changed.
pub(super) async fn get(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    if let Err(error) = endpoint.check(&request) {
        return refuse(&error);
    }
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(VERSION) >= ProtocolVersion::V_2026_07_28.as_str() {
        // It asks by a message of its own instead.
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")]).into_response();
    }
    if !text(header::ACCEPT.as_str()).contains("text/event-stream") {
        return (StatusCode::NOT_ACCEPTABLE, "what is sent here is text/event-stream\n").into_response();
    }
    news::stream(endpoint.tools.calls.catalog().changes(), endpoint.tools.stop.clone()).into_response()
}

/// The end of what an older client takes for its session.
pub(super) async fn delete(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    match endpoint.check(&request) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(&error),
    }
}

impl Endpoint {
    /// Who comes from where. What the gateway passes on names us as the mesh does: the host that its client meant was judged
    /// there.
    fn check(&self, request: &Request) -> Result<(), Error> {
        if request.extensions().get().is_some_and(Caller::is_vouched_for) {
            return self.guard.check_origin(request.headers());
        }
        self.guard.check(request.uri(), request.headers())
    }

    async fn answer(&self, request: Request) -> Result<Response, Error> {
        self.check(&request)?;
        let (parts, body) = request.into_parts();
        let passage = Passage::new(&parts)?;
        if !is_json(&parts.headers) {
            // What comes in another type is not read; the answer says which one is.
            return Ok(self.pass(parts, passage, Bytes::new()).await);
        }
        let body = web::read(body, self.body_bytes_max, BODY_WITHIN).await?;
        let message = match serde_json::from_slice::<Message<'_>>(&body) {
            Ok(message) => message,
            Err(error) if error.is_data() => return Ok(invalid("the body is not one message of JSON-RPC")),
            Err(_) => return Ok(ill(ErrorData::parse_error("the body is not JSON", None))),
        };
        let (method, session) = (message.method.as_deref().unwrap_or_default(), session(&parts.headers));
        let name = |id: Option<&Value>| Some(name(&passage, session?, id?));
        let _entered = match method {
            "tools/call" => name(message.id.as_ref()).map(|name| self.running.enter(name, passage.cancelled.clone())),
            "notifications/cancelled" => {
                let cancelled = message.params.as_ref().and_then(|params| params.request_id.as_ref());
                name(cancelled).inspect(|name| self.running.cancel(name));
                None
            }
            _ => None,
        };
        let (begins, cancelled) = (method == "initialize", passage.cancelled.clone());
        let mut answer = self.pass(parts, passage, body.clone()).await;
        if cancelled.is_cancelled() {
            // Its client has said that it takes no answer to this message any more.
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        if answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            // The type is right: it is the message that cannot be read.
            return Ok(invalid("the body is not a message that a client sends"));
        }
        if begins && answer.status() == StatusCode::OK {
            let session = HeaderValue::try_from(id::new()).map_err(Error::internal)?;
            answer.headers_mut().insert(SESSION, session);
        }
        Ok(answer)
    }

    async fn pass(&self, mut parts: Parts, passage: Passage, body: Bytes) -> Response {
        parts.extensions.insert(passage);
        self.service.handle(Request::from_parts(parts, Full::new(body))).await.map(Body::new)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The session that a client names. It need not be one that we gave: it says nothing but which requests are whose.
fn session(headers: &HeaderMap) -> Option<&str> {
    let session = headers.get(SESSION)?.to_str().ok()?;
    (1..=SESSION_BYTES_MAX).contains(&session.len()).then_some(session)
}

fn name(passage: &Passage, session: &str, id: &Value) -> Name {
    let caller = &passage.caller;
    Name {
        tenant: caller.named_tenant().map(str::to_owned),
        principal: caller.principal.clone(),
        session: session.to_owned(),
        id: id.to_string(),
    }
}

fn refuse(error: &Error) -> Response {
    web::refuse(error).map(Body::new)
}

fn invalid(why: &'static str) -> Response {
    ill(ErrorData::invalid_request(why, None))
}

/// The answer to what is no message, so that it has no id either.
fn ill(error: ErrorData) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(JsonRpcError::new(None, error))).into_response()
}
