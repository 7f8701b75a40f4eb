//! A tool with everything that guards it.

use std::sync::Arc;
use std::time::Duration;

use holdfast_config::Common;
use holdfast_resilience::RetryBudget;
use holdfast_telemetry::redaction::Redaction;
use reqwest::Url;

use crate::circuits::{Circuits, Guard};
use crate::config::{self, Config, Fallback, ToolProxy};
use crate::domain::{Effect, Permission};
use crate::egress::Egress;
use crate::last_good::LastGood;
use crate::metrics::Meters;
use crate::places::Places;
use crate::schema::Schema;
use crate::upstream::{Http, Upstream};

/// Retries that may be saved up in good times.
const SAVED_RETRIES: u32 = 10;

/// A tool with everything that guards it. A copy shares all that counts something.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) schema: Arc<Schema>,
    /// Who may use it.
    pub(crate) permission: Permission,
    /// What of arguments and results may stand in traces.
    pub(crate) traced: Option<Redaction>,
    pub(crate) effect: Effect,
    pub(crate) timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) fallback: Vec<Fallback>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) places: Arc<Places>,
    pub(crate) budget: Arc<RetryBudget>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) meters: Arc<Meters>,
    /// Where a fallback asks for it.
    pub(crate) last_good: Option<Arc<LastGood>>,
}

impl Tool {
    /// One of the configuration; an error names the key and why.
    pub(super) fn configured(
        name: &str,
        tool: &config::Tool,
        config: &Config,
        common: &Common,
        egress: &Egress,
        circuits: &Circuits,
    ) -> Result<Self, (String, String)> {
        let (schema, upstream) = (Schema::of(tool)?, Upstream::Http(Arc::new(Http::new(name, tool, common, egress)?)));
        let url = Url::parse(&common.mesh.resolve(&tool.url).0).ok();
        Self::guarded(name, tool, url.as_ref(), &config.tool_proxy, circuits, schema, upstream)
    }

    /// One of whatever kind; an error names the key and why.
    pub(crate) fn guarded(
        name: &str,
        tool: &config::Tool,
        url: Option<&Url>,
        settings: &ToolProxy,
        circuits: &Circuits,
        schema: Schema,
        upstream: Upstream,
    ) -> Result<Self, (String, String)> {
        let host = url.and_then(|url| circuits.host(url));
        // From its leave to its outcome a call may look at its lease, and then take its time.
        let patience = *tool.timeout + *settings.state_timeout;
        let keeps = tool.fallback.iter().any(|fallback| matches!(fallback, Fallback::LastGood { .. }));
        Ok(Self {
            schema: Arc::new(schema),
            upstream: Arc::new(upstream),
            name: name.into(),
            description: tool.description.clone(),
            permission: tool.permission()?,
            traced: tool.traced()?,
            effect: tool.effect,
            timeout: *tool.timeout,
            attempts: if tool.effect.may_repeat() { tool.attempts } else { 1 },
            fallback: tool.fallback.clone(),
            guard: Arc::new(Guard::new(circuits.guard(name, tool.breaker.settings()), host, patience)),
            places: Arc::new(Places::new(name, tool.shares()?, *tool.wait)),
            budget: Arc::new(RetryBudget::new(settings.retry_percent, SAVED_RETRIES)),
            last_good: keeps.then(|| Arc::new(LastGood::new(settings.last_good_bytes_max.bytes()))),
            meters: Arc::new(Meters::new(name)),
        })
    }

    /// This tool as its server describes it now. What guards it goes on: its circuit, its places and who is in them, its
    /// budget and its last answers.
    pub(crate) fn redescribed(&self, description: &str, schema: Schema) -> Self {
        Self { description: description.into(), schema: Arc::new(schema), ..self.clone() }
    }
}
