//! One HTTP request to a tool. Everything about sockets is here, and nothing about what the answer means.
//!
//! Redirects are not followed, proxies of the environment are not used, and nothing is sent a second time behind our back.
//! An effectful tool gets a fresh connection for each call: on a kept one, a server that closes it just then would leave
//! us not knowing whether the request was read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use holdfast_config::{Common, Secret, Tls};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Request, Response, Url};
use rustls::crypto::ring;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::config::{Method, Tool};
use crate::domain::{Effect, Miss};

/// The header by which an idempotent tool deduplicates.
/// Source: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The headers by which a tool learns for whom it is called, where it is declared with `tell_invocation`.
const SESSION: HeaderName = HeaderName::from_static("holdfast-session");
const INVOCATION: HeaderName = HeaderName::from_static("holdfast-invocation");

/// The way to one tool.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client,
    url: Url,
    method: Method,
    headers: HeaderMap,
    tell_invocation: bool,
    first_byte_timeout: Duration,
    response_bytes_max: usize,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) arguments: &'a Map<String, Value>,
    pub(crate) idempotency_key: Option<&'a str>,
    /// Session and id of the invocation that calls, for a tool that may know them.
    pub(crate) invocation: Option<(&'a str, &'a str)>,
    /// When the answer must be whole.
    pub(crate) until: Instant,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    response: Response,
    until: Instant,
    bytes_max: usize,
}

impl Upstream {
    /// The way to a tool; an error names the key and why.
    pub(crate) fn new(tool: &Tool, common: &Common) -> Result<Self, (String, String)> {
        let (url, simulated) = common.mesh.resolve(&tool.url);
        let url = Url::parse(&url).map_err(|error| ("url".into(), format!("{url:?} is not a URL: {error}")))?;
        let trusted = match authority(tool)? {
            // The mesh's own simulator shows the mesh's own certificate.
            none if none.is_empty() => match common.tls.as_ref().and_then(Tls::trusted).filter(|_| simulated) {
                Some(own) => certificates(own).map_err(|why| ("url".into(), format!("tls.authority {why}")))?,
                None => none,
            },
            own => own,
        };
        let client = client(tool, &url, trusted)
            .map_err(|error| ("url".into(), format!("cannot be called: {}", whole(&error))))?;
        Ok(Self {
            client,
            url,
            method: tool.method,
            headers: headers(tool)?,
            tell_invocation: tool.tell_invocation,
            first_byte_timeout: *tool.first_byte_timeout.unwrap_or(tool.timeout).min(tool.timeout),
            response_bytes_max: tool.max_response_bytes.bytes(),
        })
    }

    /// How long the tool may be silent before it is called slow.
    pub(crate) fn patience(&self) -> Duration {
        self.first_byte_timeout
    }

    /// Sends one request, and returns once the head of the answer is there.
    pub(crate) async fn send(&self, outgoing: Outgoing<'_>) -> Result<Incoming, Miss> {
        let request = self.request(&outgoing);
        let head_until = outgoing.until.min(Instant::now() + self.first_byte_timeout);
        let response = match timeout_at(head_until, self.client.execute(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() || error.is_builder() => return Err(Miss::unconnected()),
            Ok(Err(_)) => return Err(Miss::left("BROKEN")),
            Err(_) => return Err(Miss::timeout()),
        };
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Incoming {
            status: response.status().as_u16(),
            content_type: content_type.map(str::to_owned),
            response,
            until: outgoing.until,
            bytes_max: self.response_bytes_max,
        })
    }

    fn request(&self, outgoing: &Outgoing<'_>) -> Request {
        let mut request = Request::new(method(self.method), self.url.clone());
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
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
        if self.method.has_body() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(Value::Object(outgoing.arguments.clone()).to_string().into());
        } else {
            write_query(request.url_mut(), outgoing.arguments);
        }
        request
    }
}

impl Incoming {
    /// The body, up to the limit. A longer one is not read to its end.
    pub(crate) async fn body(mut self) -> Result<Bytes, Miss> {
        if self.response.content_length().is_some_and(|length| length > self.bytes_max as u64) {
            return Err(Miss::too_large());
        }
        let mut body = BytesMut::new();
        loop {
            match timeout_at(self.until, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() > self.bytes_max => return Err(Miss::too_large()),
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(body.freeze()),
                Ok(Err(_)) => return Err(Miss::left("BROKEN")),
                Err(_) => return Err(Miss::timeout()),
            }
        }
    }
}

fn client(tool: &Tool, url: &Url, trusted: Vec<Certificate>) -> Result<Client, reqwest::Error> {
    // Where somebody installed a provider already, it is this one.
    let _ = ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(*tool.connect_timeout)
        .pool_max_idle_per_host(if tool.effect == Effect::Effectful { 0 } else { tool.concurrency })
        .user_agent(concat!("holdfast-tool-proxy/", env!("CARGO_PKG_VERSION")));
    if url.scheme() == "http" {
        // No authority is needed, and a machine without any must still be able to start.
        builder = builder.tls_certs_only([]);
    } else {
        builder = builder.tls_certs_merge(trusted);
    }
    builder.build()
}

/// Who vouches for a tool besides the public authorities; an error names the key and why.
pub(crate) fn authority(tool: &Tool) -> Result<Vec<Certificate>, (String, String)> {
    let Some(authority) = &tool.authority else { return Ok(Vec::new()) };
    if tool.url.starts_with("http:") {
        return Err(("authority".into(), "is for https only: this tool shows no certificate".into()));
    }
    certificates(authority).map_err(|why| ("authority".into(), why))
}

fn certificates(authority: &Secret) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(authority.reveal().as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("is not a certificate in PEM".into()),
    }
}

/// An error with its causes: the first line alone says "builder error".
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The headers of every request to a tool; an error names the key and why.
pub(crate) fn headers(tool: &Tool) -> Result<HeaderMap, (String, String)> {
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json, text/*;q=0.9"))]);
    for (name, value) in &tool.headers {
        let (name, value) = header("headers", name, value)?;
        headers.insert(name, value);
    }
    for (name, secret) in &tool.secret_headers {
        let (name, mut value) = header("secret_headers", name, secret.reveal())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if let Some(secret) = &tool.bearer {
        let (_, mut value) = header("bearer", "authorization", &format!("Bearer {}", secret.reveal()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn header(key: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), (String, String)> {
    let wrong = |why: &str| (key.to_owned(), format!("{name:?} {why}"));
    let value = value.parse().map_err(|_| wrong("has a value that a header cannot carry"))?;
    let name: HeaderName = name.parse().map_err(|_| wrong("is not the name of a header"))?;
    Ok((name, value))
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

/// Strings as they are, lists as repeated names, objects as JSON; null is left out.
fn write_query(url: &mut Url, arguments: &Map<String, Value>) {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut query = url.query_pairs_mut();
    for (name, value) in arguments {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                query.extend_pairs(items.iter().map(|item| (name.as_str(), plain(item))));
            }
            value => {
                query.append_pair(name, &plain(value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_travel_in_the_query_beside_what_the_url_has() {
        let mut url = Url::parse("http://h/p?fixed=1").expect("a URL");
        let arguments = serde_json::json!({"a": "x y", "b": [1, "2"], "c": {"d": true}, "e": null, "f": 1.5});
        write_query(&mut url, arguments.as_object().expect("an object"));
        assert_eq!(url.query(), Some("fixed=1&a=x+y&b=1&b=2&c=%7B%22d%22%3Atrue%7D&f=1.5"));
    }

    #[test]
    fn no_secret_is_printed() {
        let tool = Tool { bearer: Some(Secret::in_memory("canary")), ..Tool::default() };
        let headers = headers(&tool).expect("they hold");
        assert!(!format!("{headers:?}{tool:?}").contains("canary"));
        assert_eq!(headers[AUTHORIZATION], "Bearer canary");
    }
}
