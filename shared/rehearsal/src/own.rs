//! Somebody's own agents, tools and models, with simulated ends in place of all that is outside.
//!
//! What decides how the mesh behaves stays as it is written: agents, limits of keys, timeouts, breakers, fallbacks, depths.
//! What leads outside is replaced: providers and tools are the simulator's, which keeps the declared limits strictly; secrets,
//! headers, certificates, databases and addresses are left out. Nothing of the original is reached, or could be.

mod arguments;
mod ends;
mod original;
mod rules;

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table, Value};

use crate::scenario::{Scenario, Written};
pub use ends::{Ends, Side};

/// Sections that say how the mesh behaves. The others say where things are.
const KEPT: [&str; 11] = [
    "agent",
    "agents",
    "gateway",
    "llm_proxy",
    "models",
    "providers",
    "queue",
    "simulator",
    "state",
    "tenants",
    "tools",
];
/// In sections of services: where they listen, who may call, and from where.
const PLACES: [&str; 5] = ["address", "keys", "hosts", "mcp", "openai"];
const SERVICES: [&str; 6] = ["agent", "gateway", "llm_proxy", "queue", "state", "tool_proxy"];
/// Tools that reach the mesh's own records.
const BUILT_IN: [&str; 3] = ["state_get", "state_put", "state_list"];

/// A configuration without an outside.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// `holdfast.toml`, in the time of the day.
    pub settings: Table,
    /// The agents that can be asked.
    pub agents: Vec<String>,
    /// What is not as in the original, for people.
    pub told: Vec<String>,
    /// The original.
    pub(crate) written: Written,
}

impl Own {
    /// Puts simulated ends into a configuration that was read from a folder.
    pub fn of(config: &Table, folder: &Path, ends: &Ends) -> Self {
        let mut own = Self::default();
        for (section, value) in config.iter().filter(|(section, _)| is_kept(section)) {
            own.settings.insert(section.clone(), value.clone());
        }
        for service in SERVICES {
            if let Some(Value::Table(section)) = own.settings.get_mut(service) {
                section.retain(|key, _| !PLACES.contains(&key));
            }
        }
        // Defaults are times too, and time is compressed.
        for (key, span) in [("backoff_initial", "1s"), ("backoff_max", "60s")] {
            table(&mut own.settings, "queue").entry(key).or_insert(span.into());
        }
        let schemas = own.tools(folder, ends);
        own.providers(ends);
        own.agents(config, &schemas);
        let left_out: Vec<_> = config.keys().filter(|section| !is_kept(section)).cloned().collect();
        if !left_out.is_empty() {
            own.told.push(format!("left out, for it leads outside: {}", left_out.join(", ")));
        }
        own
    }

    /// Agents keep the tools that there are; how the model calls them is put into rules.
    fn agents(&mut self, config: &Table, schemas: &rules::Schemas) {
        let declared: BTreeSet<_> = schemas.keys().cloned().collect();
        let mut played = Vec::new();
        let mut missing = BTreeSet::new();
        for (name, agent) in tables(&mut self.settings, "agents") {
            agent.entry("time_max").or_insert("600s".into());
            let tools = agent.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
            let tools: Vec<_> = tools.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let here = |tool: &String| declared.contains(tool) || BUILT_IN.contains(&tool.as_str());
            let (kept, gone): (Vec<_>, Vec<_>) = tools.into_iter().partition(here);
            missing.extend(gone);
            agent.insert("tools".into(), kept.iter().cloned().map(Value::String).collect::<Vec<_>>().into());
            self.agents.push(name.clone());
            played.push(kept.into_iter().filter(|tool| declared.contains(tool)).collect());
        }
        if !missing.is_empty() {
            let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
            self.told.push(format!("not played, for a server declares them: {missing}"));
        }
        if config.get("simulator").and_then(|simulator| simulator.get("rules")).is_none() {
            let rules = rules::calling(played, schemas);
            self.simulator().insert("rules".into(), rules);
        }
    }

    fn simulator(&mut self) -> &mut Table {
        table(&mut self.settings, "simulator")
    }
}

/// What agents call that are played.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) models: BTreeSet<String>,
    pub(crate) tools: BTreeSet<String>,
}

impl Scenario {
    /// The models and tools of the mesh that the agents call.
    pub(crate) fn called(&self) -> Called {
        let Some(own) = &self.played else {
            return Called { models: [self.agent.model.clone()].into(), tools: [self.agent.tool.clone()].into() };
        };
        let agents = own.settings.get("agents").and_then(Value::as_table).into_iter().flatten();
        let agents: Vec<_> = agents.filter_map(|(_, agent)| agent.as_table()).collect();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let tools = agents.iter().filter_map(|agent| agent.get("tools")?.as_array()).flatten().filter_map(text);
        Called {
            models: agents.iter().filter_map(|agent| text(agent.get("model")?)).collect(),
            tools: tools.filter(|tool| !BUILT_IN.contains(&tool.as_str())).collect(),
        }
    }

    /// Whether somebody's configuration is to be played.
    pub const fn wants_own(&self) -> bool {
        self.own.is_some()
    }

    /// The same with a configuration, which speaks of files from a folder.
    #[must_use]
    pub fn of_own(mut self, written: Written, folder: &Path) -> Self {
        // Whoever read it has told what is no TOML.
        let config = written.text.parse().unwrap_or_default();
        self.played = self.own.as_ref().map(|ends| Own { written, ..Own::of(&config, folder, ends) });
        self
    }

    /// Whom callers ask, by turns.
    pub(crate) fn agents(&self) -> Vec<String> {
        self.played.as_ref().map_or_else(|| vec![self.agent.name.clone()], |own| own.agents.clone())
    }
}

fn is_kept(section: &str) -> bool {
    KEPT.contains(&section) || section == "tool_proxy"
}

/// A table within another, made where there is none.
pub(crate) fn table<'a>(within: &'a mut Table, key: &str) -> &'a mut Table {
    let value = within.entry(key).or_insert_with(|| Value::Table(Table::new()));
    if !value.is_table() {
        *value = Value::Table(Table::new());
    }
    match value {
        Value::Table(table) => table,
        _ => unreachable!("it was just made one"),
    }
}

/// The tables of a section, by name.
fn tables<'a>(within: &'a mut Table, section: &str) -> impl Iterator<Item = (&'a String, &'a mut Table)> {
    let named = within.get_mut(section).and_then(Value::as_table_mut);
    named.into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_table_mut()?)))
}

#[cfg(test)]
mod tests;
