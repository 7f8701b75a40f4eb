//! The knobs and the counters, over HTTP.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use bytes::Bytes;
use serde_json::json;

use crate::{
    Simulator,
    config::Tool,
    counts::Counts,
    faults::Faults,
    provider::{calls::ModelCall, limits::Limits, rules::Rule, script::Script},
    tools::Effect,
};

/// What a knob answers: done, or why not.
type Done = Result<StatusCode, Refused>;

/// Why a knob is not turned.
#[derive(Debug)]
enum Refused {
    /// There is no such key or tool.
    Unknown,
    /// The numbers make no sense.
    Senseless(String),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Unknown => (StatusCode::NOT_FOUND, "the simulator does not know this name".into()),
            Self::Senseless(why) => (StatusCode::UNPROCESSABLE_ENTITY, why),
        };
        (status, Json(json!({"error": why}))).into_response()
    }
}

pub(crate) fn router(simulator: Simulator) -> Router {
    Router::new()
        .route("/admin/counts", get(counts))
        .route("/admin/reset", post(reset))
        .route("/admin/faults", get(faults).put(set_faults))
        .route("/admin/rules", put(set_rules))
        .route("/admin/scripts", put(add_scripts))
        .route("/admin/keys/{key}", get(key).put(set_key).delete(revoke_key))
        .route("/admin/keys/{key}/faults", put(set_key_faults))
        .route("/admin/keys/{key}/calls", get(calls))
        .route("/admin/keys/{key}/last", get(last_request))
        .route("/admin/clock", get(clock))
        .route("/admin/tools/{tool}", put(set_tool))
        .route("/admin/tools/{tool}/faults", put(set_tool_faults))
        .route("/admin/tools/{tool}/effects", get(effects))
        .with_state(Arc::new(simulator))
}

async fn counts(State(simulator): State<Arc<Simulator>>) -> Json<Counts> {
    Json(simulator.counts())
}

async fn reset(State(simulator): State<Arc<Simulator>>) -> StatusCode {
    simulator.reset();
    StatusCode::NO_CONTENT
}

async fn faults(State(simulator): State<Arc<Simulator>>) -> Json<Faults> {
    Json(simulator.provider().faults())
}

async fn set_faults(State(simulator): State<Arc<Simulator>>, Json(faults): Json<Faults>) -> Done {
    simulator.provider().set_faults(checked(faults)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn set_rules(State(simulator): State<Arc<Simulator>>, Json(rules): Json<Vec<Rule>>) -> StatusCode {
    simulator.set_rules(rules);
    StatusCode::NO_CONTENT
}

async fn add_scripts(
    State(simulator): State<Arc<Simulator>>,
    Json(scripts): Json<BTreeMap<String, Script>>,
) -> StatusCode {
    simulator.add_scripts(scripts);
    StatusCode::NO_CONTENT
}

async fn key(State(simulator): State<Arc<Simulator>>, Path(key): Path<String>) -> Result<Json<Limits>, Refused> {
    simulator.provider().key_limits(&key).map(Json).ok_or(Refused::Unknown)
}

async fn set_key(
    State(simulator): State<Arc<Simulator>>,
    Path(key): Path<String>,
    Json(limits): Json<Limits>,
) -> StatusCode {
    simulator.set_key(&key, limits);
    StatusCode::NO_CONTENT
}

async fn revoke_key(State(simulator): State<Arc<Simulator>>, Path(key): Path<String>) -> Done {
    found(simulator.provider().revoke_key(&key))
}

async fn set_key_faults(
    State(simulator): State<Arc<Simulator>>,
    Path(key): Path<String>,
    Json(faults): Json<Faults>,
) -> Done {
    found(simulator.provider().set_key_faults(&key, checked(faults)?))
}

async fn calls(
    State(simulator): State<Arc<Simulator>>,
    Path(key): Path<String>,
) -> Result<Json<Vec<ModelCall>>, Refused> {
    simulator.provider().calls(&key).map(Json).ok_or(Refused::Unknown)
}

async fn last_request(State(simulator): State<Arc<Simulator>>, Path(key): Path<String>) -> Result<Bytes, Refused> {
    simulator.provider().last_request(&key).ok_or(Refused::Unknown)
}

async fn clock(State(simulator): State<Arc<Simulator>>) -> Json<u64> {
    Json(simulator.clock_us())
}

async fn set_tool(State(simulator): State<Arc<Simulator>>, Path(name): Path<String>, Json(tool): Json<Tool>) -> Done {
    let tool = Tool { faults: checked(tool.faults)?, ..tool };
    simulator.tools().set(&name, tool);
    Ok(StatusCode::NO_CONTENT)
}

async fn set_tool_faults(
    State(simulator): State<Arc<Simulator>>,
    Path(tool): Path<String>,
    Json(faults): Json<Faults>,
) -> Done {
    found(simulator.tools().set_faults(&tool, checked(faults)?))
}

async fn effects(
    State(simulator): State<Arc<Simulator>>,
    Path(tool): Path<String>,
) -> Result<Json<Vec<Effect>>, Refused> {
    simulator.tools().effects(&tool).map(Json).ok_or(Refused::Unknown)
}

fn checked(faults: Faults) -> Result<Faults, Refused> {
    faults.check().map_err(Refused::Senseless)?;
    Ok(faults)
}

fn found(found: bool) -> Done {
    if found { Ok(StatusCode::NO_CONTENT) } else { Err(Refused::Unknown) }
}
