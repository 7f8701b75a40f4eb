//! A model provider that speaks the chat-completions protocol, and keeps its limits strictly.

mod answer;
mod conversation;
mod key;
pub(crate) mod limits;
mod refusal;
pub(crate) mod rules;
pub(crate) mod script;
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
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use parking_lot::{Mutex, RwLock};
use serde_json::json;

pub(crate) use self::writer::cut_off;
use self::{
    answer::{Answer, Completion},
    conversation::Conversation,
    key::{Key, Place},
    limits::Limits,
    refusal::Refusal,
    rules::Rule,
    script::Script,
};
use crate::{
    changes::Changes,
    config::Config,
    counts::Counts,
    faults::{Dice, End, Fate, Faults},
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
            .route("/v1/chat/completions", post(complete))
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
                keys.insert(name.to_owned(), Arc::new(Key::new(limits, seed, self.changes.clone())));
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

    fn key(&self, headers: &HeaderMap) -> Result<Arc<Key>, Refusal> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let known = shown.and_then(|shown| self.keys.read().get(shown).cloned());
        known.ok_or_else(|| {
            self.strangers.fetch_add(1, Ordering::Relaxed);
            self.changes.ring();
            Refusal::Stranger
        })
    }

    /// What the model says: by its script, or by the rules.
    fn answer(&self, conversation: &Conversation) -> Result<Answer, Refusal> {
        let Some(id) = conversation.script() else {
            return Ok(rules::answer(&self.rules.read(), conversation));
        };
        let step = conversation.step();
        let scripts = self.scripts.read();
        let answer = scripts.get(&id).and_then(|script| script.answer(step));
        answer.ok_or_else(|| Refusal::Bad {
            code: "script_not_found",
            message: format!("there is no step {step} of a script {id:?}"),
        })
    }

    /// A conversation that can be answered, within the key's limits.
    fn admit(&self, place: &Place, body: &[u8]) -> Result<(Conversation, Completion), Refusal> {
        let conversation: Conversation = serde_json::from_slice(body)
            .map_err(|error| Refusal::Bad { code: "invalid_json", message: error.to_string() })?;
        if !self.models.is_empty() && !self.models.contains(&conversation.model) {
            return Err(Refusal::NoModel(conversation.model));
        }
        let tokens = conversation.tokens();
        if tokens > self.context_tokens {
            let message = format!("the context holds {} tokens, and the messages have {tokens}", self.context_tokens);
            return Err(Refusal::Bad { code: "context_length_exceeded", message });
        }
        place.read(tokens).map_err(Refusal::Limited)?;
        let completion = Completion::new(&conversation, self.answer(&conversation)?);
        Ok((conversation, completion))
    }

    fn fate(&self, key: &Key) -> Fate {
        key.fate().or_else(|| self.dice.lock().throw(Instant::now())).unwrap_or(Fate::UNDISTURBED)
    }
}

async fn complete(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let arrived = provider.key(&head.headers).and_then(|key| key.arrive().map_err(Refusal::Limited));
    // The key and the place are taken by the head alone: a slow body does not arrive any later.
    let place = match arrived {
        Ok(place) => place,
        Err(refusal) => return refusal.into_response(),
    };
    let body = match to_bytes(body, provider.request_bytes_max).await {
        Ok(body) => body,
        Err(error) => {
            place.failed();
            return Refusal::Bad { code: "invalid_body", message: error.to_string() }.into_response();
        }
    };
    match provider.admit(&place, &body) {
        Ok((conversation, completion)) => {
            let fate = provider.fate(place.key());
            tracing::debug!(model = conversation.model, step = conversation.step(), ?fate, "model called");
            perform(place, &conversation, completion, fate).await
        }
        Err(refusal) => {
            match refusal {
                Refusal::Limited(_) => place.refused(),
                _ => place.failed(),
            }
            refusal.into_response()
        }
    }
}

async fn perform(place: Place, conversation: &Conversation, completion: Completion, fate: Fate) -> Response {
    tokio::time::sleep(fate.latency).await;
    match fate.end {
        End::Hang | End::Mute => std::future::pending().await,
        End::Error { status, retry_after } => {
            place.failed();
            Refusal::Fault { status, retry_after }.into_response()
        }
        end if conversation.stream => {
            let cut = if let End::Disconnect { after } = end { Some(after) } else { None };
            writer::stream(place, completion.pieces(conversation.wants_usage()), fate.per_token, cut)
        }
        end => {
            let tokens = completion.tokens();
            tokio::time::sleep(fate.per_token.saturating_mul(tokens.try_into().unwrap_or(u32::MAX))).await;
            place.write(tokens);
            if let End::Disconnect { .. } = end {
                return writer::half(place, &completion.whole());
            }
            // Free before the last byte goes out: who has the answer may come again at once.
            place.answered();
            Json(completion.whole()).into_response()
        }
    }
}

async fn models(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = provider.key(&headers) {
        return refusal.into_response();
    }
    let models =
        provider.models.iter().map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "simulated"}));
    Json(json!({"object": "list", "data": models.collect::<Vec<_>>()})).into_response()
}
