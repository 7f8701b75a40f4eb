//! `GET /v1/models` and `GET /v1/models/{name}`

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
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

pub(super) async fn one(
    State(endpoint): State<Arc<Endpoint>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // A name that is no text is no model's.
    let name = || name.map(|Path(name)| name).map_err(|_| Error::not_found("model of a name that is not UTF-8"));
    let found = endpoint.caller(&request).and_then(|_| name()).and_then(|name| endpoint.llm.model(&name));
    found.map_or_else(|error| refuse(&error), |model| Json(endpoint.told(model)).into_response())
}

impl Endpoint {
    fn told(&self, model: &Model) -> Value {
        // What only plays a model says so wherever it is named.
        let owner = if model.simulated() { "simulated" } else { "holdfast" };
        json!({"id": model.name, "object": "model", "created": self.since, "owned_by": owner})
    }
}
