//! `GET /v1/models` and `GET /v1/models/{name}`

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
};
use holdfast_rpc::Error;
use serde_json::{Value, json};

use super::{Endpoint, refuse};
use crate::model::Model;

pub(super) async fn list(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    if let Err(error) = endpoint.caller(&request) {
        return refuse(&error);
    }
    let models: Vec<_> = endpoint.llm.models().map(|model| endpoint.told(model)).collect();
    Json(json!({"object": "list", "data": models})).into_response()
}

pub(super) async fn one(State(endpoint): State<Arc<Endpoint>>, Path(name): Path<String>, request: Request) -> Response {
    if let Err(error) = endpoint.caller(&request) {
        return refuse(&error);
    }
    match endpoint.llm.models().find(|model| model.name == name) {
        Some(model) => Json(endpoint.told(model)).into_response(),
        None => refuse(&Error::not_found(format!("model {name:?} in the configuration"))),
    }
}

impl Endpoint {
    fn told(&self, model: &Model) -> Value {
        // What only plays a model says so wherever it is named.
        let owner = if model.simulated() { "simulated" } else { "holdfast" };
        json!({"id": model.name, "object": "model", "created": self.since, "owned_by": owner})
    }
}
