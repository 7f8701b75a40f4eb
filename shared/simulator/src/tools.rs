//! Simulated tools: `POST /tools/<name>` with a JSON object. They count what arrives and what took effect.

mod customers;
mod tool;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::{StreamExt, stream};
use parking_lot::RwLock;
use serde_json::{Value, json};

pub use self::tool::Effect;
use self::tool::{Answer, Call, Tool};
use crate::{
    changes::Changes,
    config::{self, Config},
    counts::Counts,
    faults::{End, Faults, late},
    provider::cut_off,
};

/// The tools.
#[derive(Debug)]
pub(crate) struct Tools {
    by_name: RwLock<BTreeMap<String, Arc<Tool>>>,
    effects_max: usize,
    seed: u64,
    changes: Changes,
}

impl Tools {
    pub(crate) fn new(config: &Config, changes: Changes) -> Self {
        let tools = Self { by_name: RwLock::default(), effects_max: config.effects_max, seed: config.seed, changes };
        for name in customers::TOOLS {
            tools.set(name, config::Tool::default());
        }
        for (name, tool) in &config.tools {
            tools.set(name, tool.clone());
        }
        tools
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new().route("/tools/{name}", post(call)).with_state(Arc::clone(self))
    }

    /// Adds a tool, or changes one; what it counted stays counted.
    pub(crate) fn set(&self, name: &str, settings: config::Tool) {
        let mut tools = self.by_name.write();
        match tools.get(name) {
            Some(tool) => tool.set(settings),
            None => {
                let seed = self.seed.wrapping_add(tools.len() as u64);
                let tool = Tool::new(name, settings, self.effects_max, seed, self.changes.clone());
                tools.insert(name.to_owned(), Arc::new(tool));
            }
        }
    }

    /// Sets the faults of one tool. Says whether there is such a tool.
    pub(crate) fn set_faults(&self, name: &str, faults: Faults) -> bool {
        self.tool(name).map(|tool| tool.set_faults(faults)).is_some()
    }

    /// What a tool's calls did, oldest first, where there is such a tool.
    pub(crate) fn effects(&self, name: &str) -> Option<Vec<Effect>> {
        self.tool(name).map(|tool| tool.effects())
    }

    pub(crate) fn count(&self, counts: &mut Counts) {
        counts.tools = self.by_name.read().iter().map(|(name, tool)| (name.clone(), tool.counts())).collect();
    }

    pub(crate) fn reset(&self) {
        self.by_name.read().values().for_each(|tool| tool.reset());
    }

    fn tool(&self, name: &str) -> Option<Arc<Tool>> {
        self.by_name.read().get(name).cloned()
    }
}

async fn call(State(tools): State<Arc<Tools>>, Path(name): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(tool) = tools.tool(&name) else {
        return error(StatusCode::NOT_FOUND, &format!("there is no tool {name:?}"));
    };
    let call = tool.arrive();
    let arguments: Value = match serde_json::from_slice(&body) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            call.failed();
            return error(StatusCode::BAD_REQUEST, &format!("the arguments are not JSON: {wrong}"));
        }
    };
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(ToOwned::to_owned);
    perform(call, key, arguments).await
}

async fn perform(call: Call, key: Option<String>, arguments: Value) -> Response {
    let fate = call.fate();
    late(fate.latency).await;
    match fate.end {
        End::Hang => std::future::pending().await,
        End::Error { status, retry_after, .. } => {
            call.failed();
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = error(status, "a fault was asked for");
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        End::Disconnect { .. } => {
            // The effect happens; only its answer is lost.
            let answer = call.act_in_vain(key, arguments);
            drop(call);
            cut(&answer)
        }
        End::Mute => {
            // The call stays open until the caller gives up, and only then counts as broken off.
            call.act_in_vain(key, arguments);
            std::future::pending().await
        }
        End::Answer => {
            let Answer { status, body } = call.act(key, arguments);
            call.answered();
            (status, Json(body)).into_response()
        }
    }
}

/// The first half of an answer, and then nothing.
fn cut(answer: &Answer) -> Response {
    let mut text = answer.body.to_string().into_bytes();
    text.truncate(text.len() / 2);
    let head = stream::once(async { Ok(Bytes::from(text)) });
    Body::from_stream(head.chain(stream::once(async { Err(cut_off().await) }))).into_response()
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}
