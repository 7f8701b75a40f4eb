//! The tools as they are called: built once from the configuration, shared by every call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_config::{Common, Invalid};
use holdfast_resilience::{Breaker, RetryBudget};

use crate::circuits::Circuits;
use crate::config::{self, Config, Fallback};
use crate::domain::Effect;
use crate::last_good::LastGood;
use crate::places::Places;
use crate::schema::Schema;
use crate::upstream::Upstream;

/// Retries that may be saved up in good times.
const SAVED_RETRIES: u32 = 10;

/// A result that came at the last moment gets so long to be recorded before a repeat calls it lost.
const RECORDING: Duration = Duration::from_secs(1);

/// A tool with everything that guards it.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) schema: Schema,
    pub(crate) effect: Effect,
    pub(crate) timeout: Duration,
    pub(crate) attempts: u32,
    pub(crate) fallback: Vec<Fallback>,
    pub(crate) breaker: Breaker,
    pub(crate) places: Places,
    pub(crate) budget: RetryBudget,
    pub(crate) upstream: Upstream,
    /// Where a fallback asks for it.
    pub(crate) last_good: Option<LastGood>,
}

/// All tools, by name.
#[derive(Debug)]
pub(crate) struct Catalog {
    tools: BTreeMap<String, Arc<Tool>>,
}

impl Catalog {
    /// Builds every tool; its breaker joins the circuits.
    pub(crate) fn new(config: &Config, common: &Common, circuits: &mut Circuits) -> Result<Self, Invalid> {
        let build = |(name, tool): (&String, &config::Tool)| {
            let invalid = |(key, why)| Invalid::new(format!("tools.{name}.{key}"), why);
            let built = Tool::new(name, tool, config, common, circuits).map_err(invalid)?;
            Ok((name.clone(), Arc::new(built)))
        };
        Ok(Self { tools: config.tools.iter().map(build).collect::<Result<_, _>>()? })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools.get(name)
    }

    /// By name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Tool>> {
        self.tools.values()
    }

    /// How long a call of a tool may take once it may have had its effect: its own time, and that of each tool that may
    /// stand in for it.
    pub(crate) fn patience(&self, tool: &Tool) -> Duration {
        let stand_ins = tool.fallback.iter().filter_map(|fallback| match fallback {
            Fallback::Tool { name } => self.get(name).map(|tool| tool.timeout + tool.places.wait()),
            _ => None,
        });
        tool.timeout + stand_ins.sum::<Duration>() + RECORDING
    }
}

impl Tool {
    fn new(
        name: &str,
        tool: &config::Tool,
        config: &Config,
        common: &Common,
        circuits: &mut Circuits,
    ) -> Result<Self, (String, String)> {
        let keeps = tool.fallback.iter().any(|fallback| matches!(fallback, Fallback::LastGood { .. }));
        Ok(Self {
            schema: Schema::of(tool)?,
            upstream: Upstream::new(tool, common)?,
            name: name.into(),
            description: tool.description.clone(),
            effect: tool.effect,
            timeout: *tool.timeout,
            attempts: if tool.effect.may_repeat() { tool.attempts } else { 1 },
            fallback: tool.fallback.clone(),
            breaker: circuits.guard(name, tool.breaker.settings()),
            places: Places::new(tool.concurrency, *tool.wait, tool.waiting_max),
            budget: RetryBudget::new(config.tool_proxy.retry_percent, SAVED_RETRIES),
            last_good: keeps.then(|| LastGood::new(config.tool_proxy.last_good_bytes_max.bytes())),
        })
    }
}
