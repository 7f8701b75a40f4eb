//! A tool that is asked by one HTTP request with JSON.
//!
//! Redirects are followed where the operator wants it and egress allows it, and nothing is sent a second time behind our
//! back. An effectful tool gets a fresh connection for each call: on a kept one, a server that closes it just then would
//! leave us not knowing whether the request was read. A call that is dropped takes its connection with it.

mod address;
mod answer;
mod body;
mod carried;
mod failure;
mod form;
mod headers;
mod template;
mod trust;

use std::time::{Duration, SystemTime};

use holdfast_config::Common;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Request, Response};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use self::answer::Limits;
pub(crate) use self::answer::is_content_type;
use self::carried::{Carried, Trail};
pub(crate) use self::form::Form;
use self::form::{Unfit, Wrong};
pub(crate) use self::headers::headers;
pub(crate) use self::trust::authority;
use super::discreet::Discreet;
use super::{Heard, Outgoing};
use crate::config::{Method, Tool};
use crate::domain::{Effect, Miss, Outcome, Reading, Verdict};
use crate::egress::{Client, ClientSettings, Egress, Failed};

/// The header by which an idempotent tool deduplicates.
/// Source: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The headers by which a tool learns for whom it is called, where it is declared with `tell_invocation`.
const SESSION: HeaderName = HeaderName::from_static("holdfast-session");
const INVOCATION: HeaderName = HeaderName::from_static("holdfast-invocation");

/// The way to one HTTP tool.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    form: Form,
    method: reqwest::Method,
    headers: HeaderMap,
    discreet: Discreet,
    tell_invocation: bool,
    first_byte_timeout: Duration,
    reading: Reading,
    limits: Limits,
    /// Whether it leads to the mesh's simulator.
    simulated: bool,
}

impl Http {
    /// The way to a tool; an error names the key and why.
    pub(crate) fn new(name: &str, tool: &Tool, common: &Common, egress: &Egress) -> Result<Self, Wrong> {
        let (url, simulated) = common.mesh.resolve(&tool.url);
        let client = egress.client(ClientSettings {
            name,
            url: &url,
            // The mesh's own simulator may live beside it.
            allow_private: tool.allow_private || simulated,
            redirects: tool.redirects,
            connect_timeout: *tool.connect_timeout,
            pool_idle_max: if tool.effect == Effect::Effectful { 0 } else { tool.concurrency },
            authorities: trust::authorities(tool, common, simulated)?,
        });
        Ok(Self {
            client: client.map_err(|why| ("url".into(), why))?,
            form: Form::new(tool, &url)?,
            method: method(tool.method),
            headers: headers(tool)?,
            discreet: Discreet::of(tool),
            tell_invocation: tool.tell_invocation,
            first_byte_timeout: *tool.first_byte_timeout.unwrap_or(tool.timeout).min(tool.timeout),
            reading: tool.reading(),
            limits: Limits {
                bytes_max: tool.max_response_bytes.bytes(),
                idle_timeout: tool.idle_timeout.map(|span| *span),
                content_types: tool.content_types.clone(),
            },
            simulated,
        })
    }

    /// How long the tool may be silent before it is called slow.
    pub(super) fn patience(&self) -> Duration {
        self.first_byte_timeout
    }

    /// Whether nothing outside is called.
    pub(super) const fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Whether a request can be made of these arguments.
    pub(super) fn accepts(&self, arguments: &Map<String, Value>) -> Result<(), Unfit> {
        self.form.url(arguments).map(drop)
    }

    /// Sends one request and judges what comes back.
    pub(super) async fn call(&self, outgoing: Outgoing<'_>) -> Result<Heard, Miss> {
        let response = self.send(&outgoing).await?;
        let (outcome, healthy) = match self.reading.judge(response.status().as_u16()) {
            Verdict::Answered { outcome, healthy } => (outcome, healthy),
            Verdict::Failed(miss) => {
                return Err(miss.come_back_in(failure::retry_after(response.headers(), SystemTime::now())));
            }
        };
        let content_type = Limits::content_type(response.headers());
        if outcome == Outcome::Real && !self.limits.takes(&content_type) {
            return Err(Miss::left("CONTENT_TYPE"));
        }
        let content = self.limits.read(response, outgoing.until).await?;
        Ok(self.discreet.hear(Heard { outcome, content, content_type, healthy }))
    }

    /// Sends one request, and returns once the head of the answer is there.
    async fn send(&self, outgoing: &Outgoing<'_>) -> Result<Response, Miss> {
        // What does not fit was refused before anything was recorded.
        let (request, trail) = self.request(outgoing).map_err(|_| Miss::kept("ARGUMENTS"))?;
        let silent_until = Instant::now() + self.first_byte_timeout;
        match timeout_at(silent_until.min(outgoing.until), self.client.execute(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(Failed::Http(error))) => Err(failure::of(&error, trail.may_have_left())),
            Ok(Err(Failed::Refused(refusal))) => Err(failure::refused(&refusal)),
            Err(_) if silent_until < outgoing.until => Err(failure::silent(trail.may_have_left())),
            Err(_) => Err(failure::late(trail.may_have_left())),
        }
    }

    fn request(&self, outgoing: &Outgoing<'_>) -> Result<(Request, Trail), Unfit> {
        let mut request = Request::new(self.method.clone(), self.form.url(outgoing.arguments)?);
        *request.headers_mut() = self.headers_for(outgoing);
        let Some(body) = self.form.body(outgoing.arguments) else { return Ok((request, Trail::Unknown)) };
        let (carried, trail) = Carried::new(body);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(Body::wrap(carried));
        Ok((request, trail))
    }

    fn headers_for(&self, outgoing: &Outgoing<'_>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(value) = outgoing.idempotency_key.and_then(|key| key.parse().ok()) {
            headers.insert(IDEMPOTENCY_KEY, value);
        }
        if let Some((session, id)) = outgoing.invocation.filter(|_| self.tell_invocation) {
            for (name, told) in [(SESSION, session), (INVOCATION, id)] {
                if let Ok(value) = HeaderValue::from_str(told)
                    && !told.is_empty()
                {
                    headers.insert(name, value);
                }
            }
        }
        if let Some(value) = holdfast_rpc::trace::outgoing().and_then(|text| text.parse().ok()) {
            headers.insert(holdfast_telemetry::traceparent::HEADER, value);
        }
        headers
    }
}

const fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Get => reqwest::Method::GET,
        Method::Delete => reqwest::Method::DELETE,
    }
}

#[cfg(test)]
mod tests {
    use holdfast_config::Secret;
    use reqwest::header::AUTHORIZATION;

    use super::*;

    #[test]
    fn no_secret_of_a_tool_is_printed() {
        let canary = || Secret::in_memory("canary");
        let tool = Tool {
            url: "http://127.0.0.1:1/{id}".into(),
            bearer: Some(canary()),
            secret_headers: [("x-key".to_owned(), canary())].into(),
            ..Tool::default()
        };
        let egress = Egress::new(&Default::default()).expect("the defaults hold");
        let http = Http::new("t", &tool, &Common::default(), &egress).expect("it holds");
        let arguments = serde_json::json!({"id": 7, "a": 1}).as_object().expect("an object").clone();
        let until = Instant::now() + Duration::from_secs(1);
        let outgoing = Outgoing { arguments: &arguments, idempotency_key: Some("k"), invocation: None, until };
        let (request, _) = http.request(&outgoing).expect("the arguments fit");
        assert_eq!((request.headers()[AUTHORIZATION].as_bytes(), request.url().path()), (&b"Bearer canary"[..], "/7"));
        assert!(!format!("{http:?}{request:?}{tool:?}").contains("canary"));
    }
}
