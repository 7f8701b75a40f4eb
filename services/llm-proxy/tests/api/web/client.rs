//! A client that knows HTTP and no more.

use bytes::Bytes;
use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::harness::Harness;

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Told {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status, and the error's type, param and code.
    pub(super) fn error(&self) -> (u16, Value) {
        let error = &self.json()["error"];
        assert!(error["message"].is_string(), "{self:?}");
        (self.status, json!([error["type"], error["param"], error["code"]]))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("plain ASCII"))
    }

    /// The data of each event of a stream; what is not JSON as text.
    pub(super) fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).expect("text");
        let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("data"));
        events.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect()
    }
}

pub(super) fn http() -> reqwest::Client {
    // The second test of a process finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

impl Harness {
    pub(super) fn post(&self, body: &Value) -> RequestBuilder {
        self.post_text(&body.to_string())
    }

    pub(super) fn post_text(&self, body: &str) -> RequestBuilder {
        let url = format!("http://{}/v1/chat/completions", self.address);
        http().post(url).header("content-type", "application/json").body(body.to_owned())
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        http().get(format!("http://{}{path}", self.address))
    }

    /// What one thing said is answered with.
    pub(super) async fn chat(&self, text: &str, more: Value) -> Told {
        told(self.post(&asked(text, more))).await
    }
}

/// A request that says one thing to the model `m`, with further fields.
pub(super) fn asked(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

pub(super) async fn told(request: RequestBuilder) -> Told {
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Told { status, headers, body: answer.bytes().await.expect("a whole body") }
}
