use std::collections::BTreeMap;
use std::path::PathBuf;

use holdfast_config::{Secret, Size, Span};
use holdfast_resilience::breaker;
use serde::Deserialize;
use serde_json::Value;

use super::{Basic, Failures};
use crate::domain::{Effect, Statuses};

/// `[tools.NAME]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tool {
    /// Where it is called: http, https, or `simulator:/path`; `{name}` in its path is an argument.
    pub url: String,
    /// Parameters beside those of `url`; `{name}` in their values is an argument.
    pub query: BTreeMap<String, Value>,
    /// What is sent, with `{name}` for arguments; without it, the arguments that are not placed elsewhere.
    pub body: Option<Value>,
    /// How: with the arguments as JSON body, or for GET and DELETE as the query.
    pub method: Method,
    /// For the model.
    pub description: String,
    /// The JSON Schema of its arguments, as JSON text. Without this and `schema_file` any object fits.
    pub schema: Option<String>,
    /// The same in a file.
    pub schema_file: Option<PathBuf>,
    /// A further authority (PEM) that signs its certificate, for tools of one's own.
    pub authority: Option<Secret>,
    /// What repeating a call would do.
    pub effect: Effect,
    /// One request, whole.
    pub timeout: Span,
    /// Opening the connection.
    pub connect_timeout: Span,
    /// From sending to the answer's head; without it, `timeout`.
    pub first_byte_timeout: Option<Span>,
    /// Between two pieces of the answer; without it, `timeout`.
    pub idle_timeout: Option<Span>,
    /// Requests under way at once.
    pub concurrency: usize,
    /// How long a call waits for a place among them.
    pub wait: Span,
    /// How many calls may wait.
    pub waiting_max: usize,
    /// Requests of one tenant under way at once; without it, all that there are.
    pub tenant_concurrency: Option<usize>,
    /// How many calls of one tenant may wait; without it, as many as there is room for.
    pub tenant_waiting_max: Option<usize>,
    /// Requests of one call at the most, where it may be repeated at all.
    pub attempts: u32,
    /// The largest answer.
    pub max_response_bytes: Size,
    /// The types of content that are taken for an answer; any, where there are none.
    pub content_types: Vec<String>,
    /// Which statuses are failures.
    pub failures: Failures,
    /// With such a status the tool itself says that it cannot do this: TOOL_ERROR, and no failure.
    pub errors: Vec<Statuses>,
    /// How many redirects are followed; a read_only GET alone may be redirected.
    pub redirects: u32,
    /// Whether its name may lead to this machine and private networks; `[tool_proxy.egress]` may allow just some.
    pub allow_private: bool,
    /// Headers sent with each request.
    pub headers: BTreeMap<String, String>,
    /// The same, by secret reference.
    pub secret_headers: BTreeMap<String, Secret>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// Sent as `Authorization: Basic …`.
    pub basic: Option<Basic>,
    /// Whether it is told for which session and invocation it is called (`holdfast-session`, `holdfast-invocation`).
    pub tell_invocation: bool,
    /// The agents that may use it, besides operators; without it, everybody who may call tools.
    pub agents: Option<Vec<String>>,
    /// Whether arguments and results stand in traces.
    pub trace_content: bool,
    /// What is taken out of them there: JSON pointers (`/a/0/b`), and names of fields at any depth.
    pub redact: Vec<String>,
    /// When to stop asking it.
    pub breaker: Breaker,
    /// What callers get while it does not answer: tried in this order.
    pub fallback: Vec<Fallback>,
}

impl Default for Tool {
    fn default() -> Self {
        Self {
            url: String::new(),
            query: BTreeMap::new(),
            body: None,
            method: Method::Post,
            description: String::new(),
            schema: None,
            schema_file: None,
            authority: None,
            effect: Effect::Effectful,
            timeout: Span::from_secs(10),
            connect_timeout: Span::from_secs(1),
            first_byte_timeout: None,
            idle_timeout: None,
            concurrency: 16,
            wait: Span::from_millis(500),
            waiting_max: 1_000,
            tenant_concurrency: None,
            tenant_waiting_max: None,
            attempts: 2,
            max_response_bytes: Size::from_kib(256),
            content_types: Vec::new(),
            failures: Failures::default(),
            errors: vec![Statuses::Hundred(4)],
            redirects: 0,
            allow_private: false,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            bearer: None,
            basic: None,
            tell_invocation: false,
            agents: None,
            trace_content: false,
            redact: Vec::new(),
            breaker: Breaker::default(),
            fallback: Vec::new(),
        }
    }
}

/// How a tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Arguments in the body.
    Post,
    /// Arguments in the body.
    Put,
    /// Arguments in the body.
    Patch,
    /// Arguments in the query.
    Get,
    /// Arguments in the query.
    Delete,
}

impl Method {
    /// Whether the arguments travel in the body.
    pub(crate) const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// `[tools.NAME.breaker]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Calls older than this are forgotten.
    pub window: Span,
    /// The last so many calls count, however long ago, instead of those of `window`.
    pub window_calls: Option<u32>,
    /// Below this many calls in the window the rates say nothing.
    pub minimum_calls: u32,
    /// The share of failed calls at which it opens.
    pub failure_percent: u32,
    /// A call that took longer is slow; without it none is.
    pub slow_call: Option<Span>,
    /// The share of slow calls at which it opens.
    pub slow_percent: u32,
    /// Failures in a row at which it opens; off without it.
    pub consecutive_failures: Option<u32>,
    /// How long it stays open at first; doubles with each failed round of probes.
    pub open: Span,
    /// The most that it doubles to.
    pub open_max: Span,
    /// The most by which an open time is stretched at random.
    pub jitter_percent: u32,
    /// Calls let through to find out whether the tool is back.
    pub probes: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        let defaults = breaker::Settings::default();
        Self {
            window: Span(breaker::WINDOW),
            window_calls: None,
            minimum_calls: defaults.minimum_calls,
            failure_percent: defaults.failure_percent,
            slow_call: defaults.slow_call.map(Span),
            slow_percent: defaults.slow_percent,
            consecutive_failures: defaults.consecutive_failures,
            open: Span(defaults.open),
            open_max: Span(defaults.open_max),
            jitter_percent: defaults.jitter_percent,
            probes: defaults.probes,
        }
    }
}

impl Breaker {
    pub(crate) fn settings(&self) -> breaker::Settings {
        breaker::Settings {
            window: self.window_calls.map_or(breaker::Window::Time(*self.window), breaker::Window::Calls),
            minimum_calls: self.minimum_calls,
            failure_percent: self.failure_percent,
            slow_call: self.slow_call.map(|span| *span),
            slow_percent: self.slow_percent,
            consecutive_failures: self.consecutive_failures,
            open: *self.open,
            open_max: *self.open_max,
            jitter_percent: self.jitter_percent,
            probes: self.probes,
        }
    }
}

/// What stands in for a tool that does not answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fallback {
    /// Always the same answer.
    Fixed {
        /// Any JSON.
        answer: Value,
    },
    /// The last good answer to the same arguments.
    LastGood {
        /// No older than this.
        max_age: Span,
    },
    /// Another tool with the same arguments.
    Tool {
        /// Its name.
        name: String,
    },
    /// No answer, and how the agent shall go on.
    Unavailable {
        /// For the model.
        advice: String,
    },
}
