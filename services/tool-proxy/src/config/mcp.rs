//! `[mcp.NAME]`: a server whose tools become tools of the mesh, and what one key alone cannot show about it.

mod validate;

use std::collections::BTreeMap;
use std::path::PathBuf;

use holdfast_config::{Secret, Size, Span};
use serde::Deserialize;

pub(super) use self::validate::check;
use super::{Breaker, Fallback, Tool};
use crate::domain::Effect;

/// `[mcp.NAME]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mcp {
    /// Where it listens, over streamable HTTP.
    pub url: String,
    /// Instead: how it is started, as program and arguments; it is spoken to over its standard input and output.
    pub command: Vec<String>,
    /// The environment of the started server, besides `PATH`, `HOME`, `USER`, `LANG` and `TMPDIR`.
    pub env: BTreeMap<String, String>,
    /// The same, by secret reference.
    pub secret_env: BTreeMap<String, Secret>,
    /// Where the server is started; without it, where the proxy was.
    pub directory: Option<PathBuf>,
    /// What the names of its tools begin with here; without it, `NAME_`.
    pub prefix: Option<String>,
    /// Which of its tools are taken, by their own names; `*` at the end stands for anything. Without it, all.
    pub allow: Vec<String>,
    /// Which are not, even where allowed.
    pub deny: Vec<String>,
    /// How often its tools are listed anew, besides whenever it says that they changed.
    pub refresh: Span,
    /// Whether what it says of a tool's effect is believed.
    pub trust_annotations: bool,
    /// A further authority (PEM) that signs its certificate.
    pub authority: Option<Secret>,
    /// Headers sent with each request.
    pub headers: BTreeMap<String, String>,
    /// The same, by secret reference.
    pub secret_headers: BTreeMap<String, Secret>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// Opening a connection.
    pub connect_timeout: Span,
    /// Whether it may be at a private address.
    pub allow_private: bool,
    /// What repeating a call would do, of every tool; without it, as annotated where that is trusted, else effectful.
    pub effect: Option<Effect>,
    /// One call, whole.
    pub timeout: Span,
    /// Calls of one tool under way at once.
    pub concurrency: usize,
    /// How long a call waits for a place among them.
    pub wait: Span,
    /// How many calls may wait.
    pub waiting_max: usize,
    /// Calls of one tool for one tenant under way at once; without it, all that there are.
    pub tenant_concurrency: Option<usize>,
    /// How many calls of one tenant may wait; without it, as many as there is room for.
    pub tenant_waiting_max: Option<usize>,
    /// Requests of one call at the most, where it may be repeated at all.
    pub attempts: u32,
    /// The largest answer.
    pub max_response_bytes: Size,
    /// The agents that may use its tools, besides operators; without it, everybody who may call tools.
    pub agents: Option<Vec<String>>,
    /// Whether arguments and results stand in traces.
    pub trace_content: bool,
    /// What is taken out of them there: JSON pointers (`/a/0/b`), and names of fields at any depth.
    pub redact: Vec<String>,
    /// When to stop asking a tool.
    pub breaker: Breaker,
    /// What callers get while a tool does not answer.
    pub fallback: Vec<Fallback>,
    /// What is otherwise for one tool, by its own name.
    pub tools: BTreeMap<String, McpTool>,
}

/// `[mcp.NAME.tools.TOOL]`: each key in place of the server's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct McpTool {
    /// For the model, instead of the server's words.
    pub description: Option<String>,
    /// What repeating a call would do.
    pub effect: Option<Effect>,
    /// One call, whole.
    pub timeout: Option<Span>,
    /// Calls under way at once.
    pub concurrency: Option<usize>,
    /// How long a call waits for a place among them.
    pub wait: Option<Span>,
    /// How many calls may wait.
    pub waiting_max: Option<usize>,
    /// Calls for one tenant under way at once.
    pub tenant_concurrency: Option<usize>,
    /// How many calls of one tenant may wait.
    pub tenant_waiting_max: Option<usize>,
    /// Requests of one call at the most.
    pub attempts: Option<u32>,
    /// The largest answer.
    pub max_response_bytes: Option<Size>,
    /// The agents that may use it, besides operators.
    pub agents: Option<Vec<String>>,
    /// Whether arguments and results stand in traces.
    pub trace_content: Option<bool>,
    /// What is taken out of them there.
    pub redact: Option<Vec<String>>,
    /// When to stop asking it.
    pub breaker: Option<Breaker>,
    /// What callers get while it does not answer.
    pub fallback: Option<Vec<Fallback>>,
}

impl Default for Mcp {
    fn default() -> Self {
        let tool = Tool::default();
        Self {
            url: String::new(),
            command: Vec::new(),
            env: BTreeMap::new(),
            secret_env: BTreeMap::new(),
            directory: None,
            prefix: None,
            allow: Vec::new(),
            deny: Vec::new(),
            refresh: Span::from_secs(300),
            trust_annotations: false,
            authority: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            bearer: None,
            connect_timeout: tool.connect_timeout,
            allow_private: false,
            effect: None,
            timeout: tool.timeout,
            concurrency: tool.concurrency,
            wait: tool.wait,
            waiting_max: tool.waiting_max,
            tenant_concurrency: None,
            tenant_waiting_max: None,
            attempts: tool.attempts,
            max_response_bytes: tool.max_response_bytes,
            agents: None,
            trace_content: false,
            redact: Vec::new(),
            breaker: tool.breaker,
            fallback: Vec::new(),
            tools: BTreeMap::new(),
        }
    }
}

impl Mcp {
    /// What the names of its tools begin with.
    pub(crate) fn prefix(&self, name: &str) -> String {
        self.prefix.clone().unwrap_or_else(|| format!("{name}_"))
    }

    /// Whether a tool of this name is taken.
    pub(crate) fn takes(&self, tool: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, tool));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.deny)
    }

    /// The server as if it were a tool: where it is, and what every tool of it has in common.
    pub(crate) fn server(&self) -> Tool {
        Tool {
            url: self.url.clone(),
            authority: self.authority.clone(),
            headers: self.headers.clone(),
            secret_headers: self.secret_headers.clone(),
            bearer: self.bearer.clone(),
            connect_timeout: self.connect_timeout,
            allow_private: self.allow_private,
            effect: self.effect.unwrap_or(Effect::Effectful),
            timeout: self.timeout,
            concurrency: self.concurrency,
            wait: self.wait,
            waiting_max: self.waiting_max,
            tenant_concurrency: self.tenant_concurrency,
            tenant_waiting_max: self.tenant_waiting_max,
            attempts: self.attempts,
            max_response_bytes: self.max_response_bytes,
            agents: self.agents.clone(),
            trace_content: self.trace_content,
            redact: self.redact.clone(),
            breaker: self.breaker.clone(),
            fallback: self.fallback.clone(),
            ..Tool::default()
        }
    }

    /// The effect that the operator gives a tool, if any.
    pub(crate) fn effect_of(&self, tool: &str) -> Option<Effect> {
        self.tools.get(tool).and_then(|tool| tool.effect).or(self.effect)
    }

    /// The largest answer of any of its tools.
    pub(crate) fn answer_bytes_max(&self) -> usize {
        let own = self.tools.values().filter_map(|tool| tool.max_response_bytes.map(|size| size.bytes()));
        own.fold(self.max_response_bytes.bytes(), usize::max)
    }

    /// Whether every call of its tools may be made again, as far as the operator says.
    pub(crate) fn may_repeat_all(&self) -> bool {
        let own = self.tools.values().filter_map(|tool| tool.effect);
        own.chain([self.effect.unwrap_or(Effect::Effectful)]).all(Effect::may_repeat)
    }

    /// What a tool of the server goes by: the server's keys, with the tool's own in their place.
    pub(crate) fn tool(&self, tool: &str, described: &str, annotated: Option<Effect>) -> Tool {
        let (server, own) = (self.server(), self.tools.get(tool).cloned().unwrap_or_default());
        let effect = self.effect_of(tool).or(annotated.filter(|_| self.trust_annotations));
        let effect = effect.unwrap_or(Effect::Effectful);
        let mut fallback = own.fallback.unwrap_or(server.fallback);
        // A chain for all tools may have a link that fits some of them only.
        fallback.retain(|link| effect == Effect::ReadOnly || !matches!(link, Fallback::LastGood { .. }));
        Tool {
            description: own.description.unwrap_or_else(|| described.to_owned()),
            effect,
            timeout: own.timeout.unwrap_or(server.timeout),
            concurrency: own.concurrency.unwrap_or(server.concurrency),
            wait: own.wait.unwrap_or(server.wait),
            waiting_max: own.waiting_max.unwrap_or(server.waiting_max),
            tenant_concurrency: own.tenant_concurrency.or(server.tenant_concurrency),
            tenant_waiting_max: own.tenant_waiting_max.or(server.tenant_waiting_max),
            attempts: own.attempts.unwrap_or(server.attempts),
            max_response_bytes: own.max_response_bytes.unwrap_or(server.max_response_bytes),
            agents: own.agents.or(server.agents),
            trace_content: own.trace_content.unwrap_or(server.trace_content),
            redact: own.redact.unwrap_or(server.redact),
            breaker: own.breaker.unwrap_or(server.breaker),
            fallback,
            ..server
        }
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}
