//! A provider that answers word for word what a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE},
    routing::post,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Answers with these bodies as streams, one after the other, and the last of them for ever.
pub struct Stub {
    address: SocketAddr,
    asked: Arc<Asked>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Asked {
    bodies: Mutex<Vec<String>>,
    heads: Mutex<Vec<HeaderMap>>,
}

/// One event of a stream.
pub fn event(json: &str) -> String {
    format!("data: {json}\n\n")
}

/// An event that carries text.
pub fn text(text: &str) -> String {
    event(&format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#))
}

/// An event that says nothing.
pub fn role() -> String {
    event(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#)
}

/// How a stream ends well.
pub fn end() -> String {
    event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#) + &event("[DONE]")
}

impl Stub {
    pub async fn start(bodies: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Asked { bodies: Mutex::new(bodies), ..Asked::default() });
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&asked));
        let task = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("it serves until the test's end");
        });
        Self { address, asked, task }
    }

    /// Answers with this before all else.
    pub fn insert(&self, body: String) {
        self.asked.bodies.lock().expect("no test panics here").insert(0, body);
    }

    /// What stood in the heads of the requests under this name.
    pub fn headers(&self, name: &str) -> Vec<Option<String>> {
        let heads = self.asked.heads.lock().expect("no test panics here");
        heads.iter().map(|head| head.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)).collect()
    }

    /// A provider of this address with a model `m` on it.
    pub fn toml(&self) -> String {
        let address = self.address;
        format!(
            "[providers.stub]\nkind = \"openai\"\nbase_url = \"http://{address}/v1\"\n\
             keys = [{{ name = \"k\", concurrency = 4 }}, {{ name = \"l\", concurrency = 4 }}]\n\
             [models.m]\ndeployments = [{{ provider = \"stub\", model = \"x\" }}]\n"
        )
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(asked): State<Arc<Asked>>, head: HeaderMap) -> Response<Body> {
    asked.heads.lock().expect("no test panics here").push(head);
    let mut bodies = asked.bodies.lock().expect("no test panics here");
    let body = if bodies.len() > 1 { bodies.remove(0) } else { bodies[0].clone() };
    let answer = Response::builder().status(StatusCode::OK).header(CONTENT_TYPE, "text/event-stream");
    answer.body(Body::from(body)).expect("the parts are valid")
}
