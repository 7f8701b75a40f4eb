//! OpenAI's API for any client of it, at `/v1`: chat completions, whole or as a stream, and the list of models. A call goes the
//! way of every other call; nothing in here decides anything about models.
//! Source: <https://platform.openai.com/docs/api-reference/chat>

mod completions;
mod deadlines;
mod events;
mod intake;
mod models;
mod request;
mod wire;

use std::{sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::{any, get, post},
};
use holdfast_rpc::{
    Caller, Error,
    service::Stop,
    web::{Guard, openai},
};
use tonic::Code;

pub(crate) use self::intake::{Held, Intake};
use crate::llm::Llm;

/// Where it is served.
pub(crate) const PATH: &str = "/v1";

/// What serves the paths.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) llm: Arc<Llm>,
    pub(crate) guard: Guard,
    pub(crate) intake: Intake,
    pub(crate) stop: Stop,
    /// Since when there are these models: clients want to know of each when it was made.
    pub(crate) since: u64,
}

/// The routes under [`PATH`].
pub(crate) fn routes(endpoint: Endpoint) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(completions::complete).fallback(wrong_method))
        .route("/v1/models", get(models::list).fallback(wrong_method))
        // The name of a model may have slashes.
        .route("/v1/models/{*name}", get(models::one).fallback(wrong_method))
        .route("/v1/{*path}", any(unknown))
        .with_state(Arc::new(endpoint))
}

impl Endpoint {
    /// Who calls, if they may come in from where they are. What the gateway passes on names us as the mesh does: the host that
    /// its client meant was judged there.
    fn caller(&self, request: &Request) -> Result<Caller, Error> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Error::unauthenticated("nobody said who is calling"))?;
        if caller.is_vouched_for() {
            self.guard.check_origin(request.headers())?;
        } else {
            self.guard.check(request.uri(), request.headers())?;
        }
        Ok(caller)
    }
}

async fn wrong_method(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let told =
        |_| Error::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", format!("{} is not for this path", request.method()));
    refuse(&endpoint.caller(&request).map_or_else(|error| error, told))
}

async fn unknown(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let told = |_| {
        Error::new(Code::Unimplemented, "UNKNOWN_URL", "what is served here is /v1/chat/completions and /v1/models")
    };
    refuse(&endpoint.caller(&request).map_or_else(|error| error, told))
}

fn refuse(error: &Error) -> Response {
    openai::refuse(error).map(Body::new)
}

/// Seconds since 1970, as OpenAI's objects tell when they were made.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
