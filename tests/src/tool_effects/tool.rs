//! The tools: one that deduplicates by the `Idempotency-Key`, and one that does again what it is asked again.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::stream;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::script::{Fate, Kill, Script};

/// Where a call stands: invocation and step.
pub(super) type Place = (String, u32);

/// What a call did at its tool.
#[derive(Debug, Clone, Default)]
pub(super) struct Effects {
    /// Requests that came.
    pub(super) requests: u32,
    /// Requests that were not answered.
    pub(super) unanswered: u32,
    /// The keys that they brought.
    pub(super) keys: BTreeSet<String>,
    /// What was done, each by its receipt.
    pub(super) receipts: Vec<u64>,
}

/// Both tools, as a server of their own.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    /// Whether what waits for the kill may go on.
    free: Arc<watch::Sender<bool>>,
}

#[derive(Debug, Default)]
struct Inner {
    fates: HashMap<Place, Fate>,
    effects: HashMap<Place, Effects>,
    /// What was done for a key.
    done: HashMap<String, u64>,
    receipts: u64,
    hits: usize,
    /// Held by each request that the proxy still waits for.
    in_hand: Arc<()>,
    kill: Option<(Kill, oneshot::Sender<()>)>,
}

#[derive(Deserialize)]
struct Asked {
    invocation: String,
    step: u32,
}

impl Tools {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket");
        let tools = Self { address, inner: Arc::default(), free: Arc::new(watch::Sender::new(true)) };
        let router = Router::new().route("/{tool}", post(answer)).with_state(tools.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        tools
    }

    pub(super) fn url(&self, tool: &str) -> String {
        format!("http://{}/{tool}", self.address)
    }

    /// A run begins; tells when the time has come to kill, where a request decides that.
    pub(super) fn begin(&self, script: &Script) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        let mut inner = self.inner.lock();
        *inner = Inner { receipts: inner.receipts, kill: Some((script.kill, tell)), ..Inner::default() };
        inner.fates = script.places().map(|(place, call)| (place, call.fate)).collect();
        self.free.send_replace(false);
        told
    }

    /// Whether the proxy waits for an answer.
    pub(super) fn have_in_hand(&self) -> bool {
        Arc::strong_count(&self.inner.lock().in_hand) > 1
    }

    /// The kill is over.
    pub(super) fn go_on(&self) {
        self.free.send_replace(true);
    }

    pub(super) fn effects(&self, script: &Script) -> HashMap<Place, Effects> {
        let inner = self.inner.lock();
        let did = |place: &Place| inner.effects.get(place).cloned().unwrap_or_default();
        script.places().map(|(place, _)| (place.clone(), did(&place))).collect()
    }

    /// Counts a request that has come; its fate, and when the proxy dies of it: before its effect, or after.
    fn arrived(&self, place: &Place, key: &str) -> (Fate, Option<bool>) {
        let mut inner = self.inner.lock();
        inner.hits += 1;
        let hits = inner.hits;
        let dies = match &inner.kill {
            Some((Kill::AtHit { number, after_effect }, _)) if *number == hits => Some(*after_effect),
            _ => None,
        };
        let effects = inner.effects.entry(place.clone()).or_default();
        effects.requests += 1;
        effects.keys.insert(key.to_owned());
        let first = effects.requests == 1;
        let fate = inner.fates.get(place).copied().filter(|_| first).unwrap_or(Fate::Answer);
        if !matches!(fate, Fate::Answer | Fate::Late(_)) {
            inner.effects.entry(place.clone()).or_default().unanswered += 1;
        }
        (fate, dies)
    }

    /// Does what is asked; the receipt.
    fn take_effect(&self, tool: &str, place: &Place, key: &str) -> u64 {
        let mut inner = self.inner.lock();
        if let Some(receipt) = inner.done.get(key).filter(|_| tool == "once") {
            return *receipt;
        }
        inner.receipts += 1;
        let receipt = inner.receipts;
        inner.done.insert(key.to_owned(), receipt);
        inner.effects.entry(place.clone()).or_default().receipts.push(receipt);
        receipt
    }

    /// Has the proxy killed, and waits for that.
    async fn have_it_killed(&self) {
        if let Some((_, tell)) = self.inner.lock().kill.take() {
            let _ = tell.send(());
        }
        let _ = self.free.subscribe().wait_for(|free| *free).await;
    }

    async fn act(self, tool: String, place: Place, key: String) -> Response<Body> {
        let (fate, dies) = self.arrived(&place, &key);
        if dies == Some(false) {
            self.have_it_killed().await;
        }
        match fate {
            Fate::LoseRequest => return broken(),
            Fate::Late(pause) => sleep(pause).await,
            Fate::Answer | Fate::LoseAnswer | Fate::Hang => {}
        }
        let receipt = self.take_effect(&tool, &place, &key);
        if dies == Some(true) {
            self.have_it_killed().await;
        }
        match fate {
            Fate::LoseAnswer => broken(),
            Fate::Hang => std::future::pending().await,
            _ => Response::new(Body::from(json!({"receipt": receipt}).to_string())),
        }
    }
}

/// What has come is done, though whoever asked may be gone.
async fn answer(
    State(tools): State<Tools>,
    Path(tool): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<Asked>,
) -> Response<Body> {
    // This ends where the proxy goes away; the work goes on.
    let _in_hand = Arc::clone(&tools.inner.lock().in_hand);
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let work = tokio::spawn(tools.act(tool, (asked.invocation, asked.step), key));
    work.await.expect("a tool does not panic")
}

/// A head, and then the connection breaks.
fn broken() -> Response<Body> {
    let cut: Result<Bytes, io::Error> = Err(io::ErrorKind::ConnectionReset.into());
    Response::new(Body::from_stream(stream::iter([cut])))
}
