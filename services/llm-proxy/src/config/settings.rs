use holdfast_config::{Invalid, Size, Span};
use holdfast_rpc::web;
use serde::Deserialize;

use super::Sharing;

/// `[llm_proxy]`: the service itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    pub address: String,
    /// The hosts by which clients of `/v1` may call it, beside its own address.
    pub hosts: Vec<String>,
    /// The most calls that may wait in front of one provider.
    pub waiting_calls_max: usize,
    /// The most bytes that the requests of those calls may have.
    pub waiting_bytes_max: Size,
    /// How long a call waits that names no deadline.
    pub wait_max: Span,
    /// What a point of priority is worth: so much longer waiting.
    pub priority_ageing: Span,
    /// How long the reader of a stream may take nothing; then it is ended, and its key's place is free.
    pub stall_max: Span,
    /// How long a stream lasts, from its beginning, whose caller names no end.
    pub answer_max: Span,
    /// The largest request.
    pub request_bytes_max: Size,
    /// The largest answer.
    pub answer_bytes_max: Size,
    /// How limits are shared by several processes.
    pub sharing: Sharing,
    /// What tenants and invocations may use.
    pub budgets: Budgets,
}

/// `[llm_proxy.budgets]`: an absent one is none. `[tenants.NAME]` has a tenant's own.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Tokens, read and written, of one invocation.
    pub invocation_tokens: Option<u64>,
    /// Tokens, read and written, of one tenant in a day (UTC).
    pub tenant_tokens_per_day: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7074".into(),
            hosts: Vec::new(),
            waiting_calls_max: 10_000,
            waiting_bytes_max: Size::from_mib(256),
            wait_max: Span::from_secs(600),
            priority_ageing: Span::from_secs(10),
            stall_max: Span::from_secs(60),
            answer_max: Span::from_secs(3_600),
            request_bytes_max: Size::from_mib(16),
            answer_bytes_max: Size::from_mib(16),
            sharing: Sharing::default(),
            budgets: Budgets::default(),
        }
    }
}

impl Settings {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        let rules = [
            (self.waiting_calls_max > 0, "waiting_calls_max", "must be 1 at least"),
            (!self.wait_max.is_zero(), "wait_max", "must be longer than nothing"),
            (!self.priority_ageing.is_zero(), "priority_ageing", "must be longer than nothing"),
            (!self.stall_max.is_zero(), "stall_max", "must be longer than nothing"),
            (!self.answer_max.is_zero(), "answer_max", "must be longer than nothing"),
            ((1..=50).contains(&self.sharing.reserve_percent), "sharing.reserve_percent", "must be from 1 to 50"),
            (self.sharing.processes_max > 0, "sharing.processes_max", "must be 1 at least"),
            (self.budgets.invocation_tokens != Some(0), "budgets.invocation_tokens", "must be 1 at least"),
            (self.budgets.tenant_tokens_per_day != Some(0), "budgets.tenant_tokens_per_day", "must be 1 at least"),
        ];
        if let Some((_, key, why)) = rules.into_iter().find(|(holds, ..)| !holds) {
            return Err(Invalid::new(format!("llm_proxy.{key}"), why));
        }
        match self.hosts.iter().find(|host| !web::is_host(host)) {
            Some(host) => Err(Invalid::new("llm_proxy.hosts", format!("{host:?} is no host: write NAME or NAME:PORT"))),
            None => Ok(()),
        }
    }
}
