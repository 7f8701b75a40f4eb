use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use super::apply;
use super::desk::changes_records;
use super::ledger::{Ledger, Versions};
use super::view::View;

/// The desk's tools over HTTP: `POST /NAME` with the arguments as the body. The session that the tool-proxy names is the
/// case; the idempotency key that it sends is the call.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    ledger: watch::Sender<Option<Ledger>>,
    repeats: Arc<AtomicU64>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Door {
    ledger: watch::Receiver<Option<Ledger>>,
    repeats: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Desk {
    ledger: Ledger,
    repeats: Arc<AtomicU64>,
}

impl Server {
    /// Listens on a free port. Calls wait until [`Server::serve`] says where the records are: the mesh that has them must
    /// know this server's address first.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let repeats = Arc::new(AtomicU64::new(0));
        let (ledger, known) = watch::channel(None);
        let door = Arc::new(Door { ledger: known, repeats: Arc::clone(&repeats) });
        let router = Router::new().route("/{tool}", post(call)).with_state(door);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the tool server serves");
        });
        Self { address, ledger, repeats, serving }
    }

    /// Serves the records of this ledger.
    pub fn serve(&self, ledger: Ledger) {
        self.ledger.send_replace(Some(ledger));
    }

    /// The URL of a tool.
    pub fn url(&self, tool: &str) -> String {
        format!("http://{}/{tool}", self.address)
    }

    /// How many calls were answered with the recorded answer of an earlier, equal call.
    pub fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn call(State(door): State<Arc<Door>>, Path(tool): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let case = match named("holdfast-session") {
        "" => named("holdfast-invocation"),
        session => session,
    };
    let key = named("idempotency-key");
    if case.is_empty() || (changes_records(&tool) && key.is_empty()) {
        return (StatusCode::BAD_REQUEST, "the session or the idempotency key is missing").into_response();
    }
    let Ok(arguments) = serde_json::from_slice(&body) else {
        return (StatusCode::BAD_REQUEST, "the arguments are not JSON").into_response();
    };
    let Some(desk) = door.desk().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    match desk.answer(case, key, &tool, &arguments).await {
        Ok(answer) => written(answer),
        Err(status) => (StatusCode::SERVICE_UNAVAILABLE, status.to_string()).into_response(),
    }
}

fn written(answer: String) -> Response {
    let is_json = answer.starts_with(['{', '[']);
    let content_type = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
    ([(header::CONTENT_TYPE, content_type)], answer).into_response()
}

impl Door {
    async fn desk(&self) -> Option<Desk> {
        let mut known = self.ledger.clone();
        let ledger = known.wait_for(Option::is_some).await.ok()?.clone()?;
        Some(Desk { ledger, repeats: Arc::clone(&self.repeats) })
    }
}

impl Desk {
    /// Answers a call. One that changes records is settled once, whoever repeats it: its changes and its answer are one
    /// batch, which is refused when the call has been settled already.
    async fn answer(&self, case: &str, key: &str, tool: &str, arguments: &Value) -> Result<String, Status> {
        if !changes_records(tool) {
            return Ok(self.look(case, tool, arguments).await?.0);
        }
        loop {
            if let Some(answer) = self.ledger.answer(case, key).await? {
                self.repeats.fetch_add(1, Ordering::Relaxed);
                return Ok(answer);
            }
            let (answer, mut view, versions) = self.look(case, tool, arguments).await?;
            match self.ledger.settle(case, key, &answer, &mut view, &versions).await {
                Ok(()) => return Ok(answer),
                Err(status) if status.code() == Code::Aborted => {}
                Err(status) => return Err(status),
            }
        }
    }

    async fn look(&self, case: &str, tool: &str, arguments: &Value) -> Result<(String, View, Versions), Status> {
        let (mut view, mut versions) = (View::default(), Versions::default());
        loop {
            match apply(tool, arguments, &mut view) {
                Ok(answer) => return Ok((answer, view, versions)),
                Err(missing) => self.ledger.fetch(case, missing, &mut view, &mut versions).await?,
            }
        }
    }
}
