use std::collections::BTreeSet;

use holdfast_config::{Secret, Size, Span};
use holdfast_rpc::Role;
use serde::Deserialize;

use crate::admission::{Terms, burst_of};

/// What a message may have beside its payload: names, labels, the retry policy.
const BESIDE_PAYLOAD_BYTES: usize = 256 << 10;

/// `[gateway]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Section {
    pub(super) address: String,
    pub(super) keys: Vec<KeySetting>,
    pub(super) agents: Option<AgentsSetting>,
    pub(super) extra_agents: BTreeSet<String>,
    pub(super) payload_max: Size,
    pub(super) calls_max: usize,
    pub(super) waiting_max: usize,
    /// Absent: a quarter of `calls_max`.
    pub(super) workers_max: Option<usize>,
    pub(super) bytes_max: Size,
    /// Calls in a second; 0 is no limit.
    pub(super) tenant_rate: f64,
    /// 0 is one second's calls.
    pub(super) tenant_burst: u32,
    /// Absent: a quarter of `calls_max`.
    pub(super) tenant_concurrency: Option<usize>,
    /// Absent: half of `waiting_max`.
    pub(super) tenant_waiting_max: Option<usize>,
    /// Absent: half of `workers_max`. Where keys are of one tenant alone, this and the other parts are the whole.
    pub(super) tenant_workers_max: Option<usize>,
    /// Absent: a quarter of `calls_max`.
    pub(super) tenant_leased_max: Option<usize>,
    /// Absent: half of `bytes_max`, and at least one request.
    pub(super) tenant_bytes_max: Option<Size>,
    pub(super) unread_max: Size,
    pub(super) unread_bytes_max: Size,
    /// Absent: half of `unread_bytes_max`, and at least what one reader may leave.
    pub(super) tenant_unread_bytes_max: Option<Size>,
    pub(super) slow_max: Span,
    pub(super) connect_within: Span,
    pub(super) answer_within: Span,
    pub(super) resend_within: Span,
    pub(super) mcp: WebSetting,
    pub(super) openai: WebSetting,
}

/// `[gateway.mcp]` and `[gateway.openai]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebSetting {
    /// Hosts that these clients may mean, with or without a port. On loopback the names of this machine always are; elsewhere
    /// none here means any.
    pub(super) hosts: Vec<String>,
}

/// One entry of `[[gateway.keys]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeySetting {
    pub(super) name: String,
    pub(super) key: Secret,
    pub(super) tenant: String,
    /// An operator is one of the mesh: circuits are no tenant's, and what is said of one holds for all.
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AgentsSetting {
    Declared,
    Any,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7070".into(),
            keys: Vec::new(),
            agents: None,
            extra_agents: BTreeSet::new(),
            payload_max: Size::from_mib(1),
            calls_max: 20_000,
            waiting_max: 10_000,
            workers_max: None,
            bytes_max: Size::from_mib(128),
            tenant_rate: 0.0,
            tenant_burst: 0,
            tenant_concurrency: None,
            tenant_waiting_max: None,
            tenant_workers_max: None,
            tenant_leased_max: None,
            tenant_bytes_max: None,
            unread_max: Size::from_mib(1),
            unread_bytes_max: Size::from_mib(64),
            tenant_unread_bytes_max: None,
            slow_max: Span::from_secs(5),
            connect_within: Span::from_secs(1),
            answer_within: Span::from_secs(5),
            resend_within: Span::from_secs(5),
            mcp: WebSetting::default(),
            openai: WebSetting::default(),
        }
    }
}

impl Section {
    pub(super) fn workers_max(&self) -> usize {
        self.workers_max.unwrap_or(self.calls_max / 4)
    }

    pub(super) fn tenant_rate(&self) -> Option<f64> {
        Some(self.tenant_rate).filter(|rate| *rate > 0.0)
    }

    /// The largest request that is read.
    pub(super) fn request_bytes_max(&self) -> usize {
        self.payload_max.bytes() + BESIDE_PAYLOAD_BYTES
    }

    /// What a tenant may do where nothing else is agreed with it.
    pub(super) fn terms(&self) -> Terms {
        let rate = self.tenant_rate();
        let burst = match (self.tenant_burst, rate) {
            (0, Some(rate)) => burst_of(rate),
            (burst, _) => burst.max(1),
        };
        let quarter = (self.calls_max / 4).max(1);
        // Who is alone has nobody to leave room for.
        let alone = self.keys.iter().all(|key| key.tenant == self.keys[0].tenant);
        let part = |all: usize, of: usize, least: usize| if alone { all } else { (all / of).max(least) };
        let bytes = |said: Option<Size>, all: Size, least: usize| {
            said.map_or_else(|| part(all.bytes(), 2, least), |said| said.bytes())
        };
        Terms {
            rate,
            burst,
            calls_max: self.tenant_concurrency.unwrap_or(quarter),
            waits_max: self.tenant_waiting_max.unwrap_or((self.waiting_max / 2).max(1)),
            workers_max: self.tenant_workers_max.unwrap_or_else(|| part(self.workers_max(), 2, 1)),
            leased_max: self.tenant_leased_max.unwrap_or_else(|| part(self.calls_max, 4, 1)),
            request_bytes_max: bytes(self.tenant_bytes_max, self.bytes_max, self.request_bytes_max()),
            unread_bytes_max: bytes(self.tenant_unread_bytes_max, self.unread_bytes_max, self.unread_max.bytes()),
        }
    }
}
