//! A provider that answers when a test says so.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Response, header::CONTENT_TYPE},
    routing::post,
};
use futures::{StreamExt as _, stream};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

use crate::{harness::PATIENCE, stub};

const ANSWER: &str =
    r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Well."},"finish_reason":"stop"}]}"#;

pub struct Slow {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    /// What it refuses everything with; 0 while it is well.
    refuses: AtomicU16,
    arrived: AtomicU32,
    answers_until: watch::Sender<u32>,
    counts: watch::Sender<Counts>,
}

/// What the provider saw while it was well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub arrived: u32,
    /// The caller went away before the answer.
    pub given_up: u32,
    pub answered: u32,
}

impl Counts {
    pub fn in_flight(&self) -> u32 {
        self.arrived - self.given_up - self.answered
    }
}

impl Slow {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            refuses: AtomicU16::new(0),
            arrived: AtomicU32::new(0),
            answers_until: watch::Sender::new(0),
            counts: watch::Sender::default(),
        });
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("it serves until the test's end");
        });
        Self { address, shared, task }
    }

    /// Refuses every further call with this status; well again with 0.
    pub fn refuse(&self, status: u16) {
        self.shared.refuses.store(status, Ordering::SeqCst);
    }

    /// The provider `slow` with this key and these settings, and a model `m` on it.
    pub fn toml(&self, key: &str, more: &str) -> String {
        let address = self.address;
        format!(
            "[providers.slow]\nkind = \"openai\"\nbase_url = \"http://{address}/v1\"\nkeys = [{{ {key} }}]\n{more}\n\
             [models.m]\ndeployments = [{{ provider = \"slow\", model = \"x\" }}]\n"
        )
    }

    /// Answers the calls that have arrived by now, and no others.
    pub fn answer(&self) {
        self.answer_first(self.shared.arrived.load(Ordering::SeqCst));
    }

    /// Answers so many calls, in the order of their arrival.
    pub fn answer_first(&self, calls: u32) {
        self.shared.answers_until.send_replace(calls);
    }

    pub async fn until(&self, wanted: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        let seen = timeout(PATIENCE, counts.wait_for(wanted)).await;
        *seen.unwrap_or_else(|_| panic!("it never came to it: {:?}", self.counts())).expect("it is never closed")
    }

    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A call that has arrived.
struct Visit {
    shared: Arc<Shared>,
    number: u32,
    answered: bool,
}

impl Visit {
    fn new(shared: Arc<Shared>) -> Self {
        let number = shared.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        shared.counts.send_modify(|counts| counts.arrived += 1);
        Self { shared, number, answered: false }
    }

    async fn end(mut self) {
        let mut answers = self.shared.answers_until.subscribe();
        answers.wait_for(|until| *until >= self.number).await.expect("it is never closed");
        self.answered = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let answered = self.answered;
        self.shared.counts.send_modify(|counts| {
            let count = if answered { &mut counts.answered } else { &mut counts.given_up };
            *count += 1;
        });
    }
}

/// A whole answer comes when it may; a stream begins at once, and ends when it may.
async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response<Body> {
    let status = |status: u16| Response::builder().status(status);
    match shared.refuses.load(Ordering::SeqCst) {
        0 => {}
        refused => return status(refused).body(Body::empty()).expect("it is valid"),
    }
    let visit = Visit::new(shared);
    let streamed = String::from_utf8_lossy(&body).contains(r#""stream":true"#);
    if !streamed {
        visit.end().await;
        let answer = status(200).header(CONTENT_TYPE, "application/json");
        return answer.body(Body::from(ANSWER)).expect("it is valid");
    }
    let rest = stream::once(async move {
        visit.end().await;
        stub::end()
    });
    let events = stream::iter([stub::text("Well.")]).chain(rest).map(Ok::<_, Infallible>);
    let answer = status(200).header(CONTENT_TYPE, "text/event-stream");
    answer.body(Body::from_stream(events)).expect("it is valid")
}
