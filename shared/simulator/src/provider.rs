//! A model provider that speaks the protocols of OpenAI and Anthropic, and keeps its limits strictly.

mod admission;
mod answer;
mod anthropic;
pub(crate) mod calls;
mod conversation;
mod key;
pub(crate) mod limits;
mod meter;
mod openai;
mod place;
mod protocol;
mod refusal;
pub(crate) mod rules;
pub(crate) mod script;
mod tally;
mod writer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use serde_json::json;

pub(crate) use self::writer::cut_off;
use self::{
    calls::ModelCall, key::Key, limits::Limits, protocol::Protocol, refusal::Refusal, rules::Rule, script::Script,
};
use crate::{
    changes::Changes,
    config::Config,
    counts::Counts,
    faults::{Dice, Fate, Faults, Hint},
};

/// The provider.
#[derive(Debug)]
pub(crate) struct Provider {
    models: Vec<String>,
    context_tokens: u64,
    request_bytes_max: usize,
    keys: RwLock<BTreeMap<String, Arc<Key>>>,
    rules: RwLock<Vec<Rule>>,
    scripts: RwLock<BTreeMap<String, Script>>,
    dice: Mutex<Dice>,
    strangers: AtomicU64,
    calls_max: usize,
    began: Instant,
    seed: u64,
    changes: Changes,
}

impl Provider {
    pub(crate) fn new(config: &Config, changes: Changes) -> Self {
        let provider = Self {
            models: config.models.clone(),
            context_tokens: config.context_tokens,
            request_bytes_max: config.request_bytes_max.bytes(),
            keys: RwLock::default(),
            rules: RwLock::new(config.rules.clone()),
            scripts: RwLock::new(config.scripts.clone()),
            dice: Mutex::new(Dice::new(config.faults.clone(), config.seed)),
            strangers: AtomicU64::new(0),
            calls_max: config.calls_max,
            began: Instant::now(),
            seed: config.seed,
            changes,
        };
        for (name, limits) in &config.keys {
            provider.set_key(name, limits.clone());
        }
        provider
    }

    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(openai_call))
            .route("/openai/deployments/{deployment}/chat/completions", post(azure_call))
            .route("/v1/messages", post(anthropic_call))
            .route("/v1/models", get(models))
            .with_state(Arc::clone(self))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.dice.lock().set(faults);
    }

    pub(crate) fn faults(&self) -> Faults {
        self.dice.lock().faults().clone()
    }

    /// Makes a key known, or changes its limits; what it has used stays used.
    pub(crate) fn set_key(&self, name: &str, limits: Limits) {
        let mut keys = self.keys.write();
        match keys.get(name) {
            Some(key) => key.set_limits(limits),
            None => {
                let seed = self.seed.wrapping_add(keys.len() as u64 + 1);
                let key = Key::new(limits, seed, self.calls_max, self.began, self.changes.clone());
                keys.insert(name.to_owned(), Arc::new(key));
            }
        }
    }

    /// Revokes a key. Says whether it was known.
    pub(crate) fn revoke_key(&self, name: &str) -> bool {
        self.keys.write().remove(name).is_some()
    }

    /// The limits of a key, where it is known.
    pub(crate) fn key_limits(&self, name: &str) -> Option<Limits> {
        self.keys.read().get(name).map(|key| key.limits())
    }

    /// Sets the faults of one key alone. Says whether it was known.
    pub(crate) fn set_key_faults(&self, name: &str, faults: Faults) -> bool {
        self.keys.read().get(name).map(|key| key.set_faults(faults)).is_some()
    }

    /// The newest calls of a key, where it is known.
    pub(crate) fn calls(&self, name: &str) -> Option<Vec<ModelCall>> {
        self.keys.read().get(name).map(|key| key.calls())
    }

    /// The body of the last request that showed a key, where it is known.
    pub(crate) fn last_request(&self, name: &str) -> Option<Bytes> {
        self.keys.read().get(name).map(|key| key.last_request())
    }

    /// Microseconds of this provider's clock.
    pub(crate) fn clock_us(&self) -> u64 {
        key::micros(self.began.elapsed())
    }

    pub(crate) fn set_rules(&self, rules: Vec<Rule>) {
        *self.rules.write() = rules;
    }

    pub(crate) fn add_scripts(&self, scripts: BTreeMap<String, Script>) {
        self.scripts.write().extend(scripts);
    }

    pub(crate) fn count(&self, counts: &mut Counts) {
        counts.strangers = self.strangers.load(Ordering::Relaxed);
        counts.keys = self.keys.read().iter().map(|(name, key)| (name.clone(), key.counts())).collect();
    }

    pub(crate) fn reset(&self) {
        self.strangers.store(0, Ordering::Relaxed);
        self.keys.read().values().for_each(|key| key.reset());
    }

    fn key(&self, protocol: Protocol, headers: &HeaderMap) -> Result<Arc<Key>, Refusal> {
        let known = protocol.key(headers).and_then(|shown| self.keys.read().get(shown).cloned());
        known.ok_or_else(|| {
            self.strangers.fetch_add(1, Ordering::Relaxed);
            self.changes.ring();
            Refusal::Stranger
        })
    }

    fn fate(&self, key: &Key) -> Fate {
        key.fate().or_else(|| self.dice.lock().throw(Instant::now())).unwrap_or(Fate::UNDISTURBED)
    }

    fn hint(&self, key: &Key) -> Option<Hint> {
        key.hint().or_else(|| self.dice.lock().faults().hint)
    }
}

async fn openai_call(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    answer(&provider, Protocol::OpenAi, None, request).await
}

async fn anthropic_call(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    answer(&provider, Protocol::Anthropic, None, request).await
}

async fn azure_call(
    State(provider): State<Arc<Provider>>,
    Path(deployment): Path<String>,
    uri: Uri,
    request: Request,
) -> Response {
    if !uri.query().is_some_and(|query| query.contains("api-version=")) {
        let message = "the query parameter api-version is missing".to_owned();
        return Refusal::Bad { code: "missing_api_version", message }.answer(Protocol::Azure, &[], None);
    }
    answer(&provider, Protocol::Azure, Some(deployment), request).await
}

async fn answer(provider: &Provider, protocol: Protocol, deployment: Option<String>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // The key and the place are taken by the head alone: a slow body does not arrive any later.
    let key = match provider.key(protocol, &head.headers) {
        Ok(key) => key,
        Err(refusal) => return refusal.answer(protocol, &[], None),
    };
    let place = match key.arrive() {
        Ok(place) => place,
        Err(past) => return Refusal::Limited(past).answer(protocol, &key.rates(""), provider.hint(&key)),
    };
    let mut model = deployment.unwrap_or_default();
    match provider.admit(protocol, place, &head.headers, &mut model, body).await {
        Ok(admitted) => {
            let (fate, rates, hint) = (provider.fate(&key), key.rates(&model), provider.hint(&key));
            tracing::debug!(model, ?fate, "model called");
            let mut response = admitted.perform(fate, hint).await;
            if response.status().is_success() {
                refusal::show_rates(protocol, &rates, hint, response.headers_mut());
            }
            response
        }
        Err(refusal) => refusal.answer(protocol, &key.rates(&model), provider.hint(&key)),
    }
}

async fn models(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = provider.key(Protocol::OpenAi, &headers) {
        return refusal.answer(Protocol::OpenAi, &[], None);
    }
    let models =
        provider.models.iter().map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "simulated"}));
    Json(json!({"object": "list", "data": models.collect::<Vec<_>>()})).into_response()
}
