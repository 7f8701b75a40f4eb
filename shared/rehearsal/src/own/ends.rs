//! Providers and tools of the simulator, in place of those that were declared.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::rules::Schemas;
use super::{Own, table, tables};
use crate::scenario::{Which, lay_over};

/// What a tool keeps: how it is guarded, and what the model is told of it.
const OF_A_TOOL: [&str; 16] = [
    "agents",
    "attempts",
    "breaker",
    "concurrency",
    "connect_timeout",
    "description",
    "effect",
    "fallback",
    "first_byte_timeout",
    "idle_timeout",
    "max_response_bytes",
    "schema",
    "tenant_concurrency",
    "tenant_waiting_max",
    "timeout",
    "wait",
];
/// What a provider keeps.
const OF_A_PROVIDER: [&str; 7] =
    ["breaker", "connect_timeout", "cooldown", "idle_timeout", "quarantine", "timeout", "window"];
/// Limits of a key that the simulator knows too, over all models and with single ones.
const LIMITS: [&str; 5] =
    ["concurrency", "input_tokens_per_minute", "output_tokens_per_minute", "requests_per_minute", "tokens_per_minute"];
const MINUTE: &str = "60s";

/// `[own]` of a scenario: somebody's configuration is played, on ends that behave so.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ends {
    /// Faults of every tool.
    pub tool: Table,
    /// Faults of the provider.
    pub model: Table,
    /// As a pilot is built.
    pub off: Side,
    /// Protected.
    pub on: Side,
}

/// What a side has otherwise, wherever there is one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Side {
    /// Laid over each tool.
    pub tool: Table,
    /// Laid over each provider.
    pub provider: Table,
    /// Whether keys are used without knowing their limits.
    pub without_limits: bool,
}

impl Own {
    /// Tools lead to the simulator; gives their schemas.
    pub(super) fn tools(&mut self, folder: &Path, ends: &Ends) -> Schemas {
        let mut schemas = Schemas::new();
        let mut simulated = Table::new();
        for (name, tool) in tables(&mut self.settings, "tools") {
            let schema = schema(tool, folder);
            tool.retain(|key, _| OF_A_TOOL.contains(&key) || key == "waiting_max");
            tool.insert("url".into(), format!("simulator:/tools/{name}").into());
            if schema != Json::Null {
                tool.insert("schema".into(), schema.to_string().into());
            }
            for (key, span) in [("timeout", "10s"), ("connect_timeout", "1s"), ("wait", "500ms")] {
                tool.entry(key).or_insert(span.into());
            }
            for (key, span) in [("window", "10s"), ("open", "5s"), ("open_max", "60s")] {
                table(tool, "breaker").entry(key).or_insert(span.into());
            }
            let mut end = Table::new();
            let answer = [("simulated", Value::Boolean(true)), ("tool", name.clone().into())];
            end.insert("answer".into(), Table::from_iter(answer.map(|(key, value)| (key.to_owned(), value))).into());
            end.insert("faults".into(), ends.tool.clone().into());
            simulated.insert(name.clone(), end.into());
            schemas.insert(name.clone(), schema);
        }
        if !simulated.is_empty() {
            lay_over(table(self.simulator(), "tools"), &simulated);
        }
        schemas
    }

    /// Providers are the simulator, which knows each key with the limits that were declared.
    pub(super) fn providers(&mut self, ends: &Ends) {
        let mut keys = Table::new();
        for (name, provider) in tables(&mut self.settings, "providers") {
            let declared = provider.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
            provider.retain(|key, _| OF_A_PROVIDER.contains(&key));
            provider.insert("kind".into(), "openai".into());
            provider.insert("base_url".into(), "simulator:/v1".into());
            for (key, span) in [("window", MINUTE), ("cooldown", "5s"), ("quarantine", "10m")] {
                provider.entry(key).or_insert(span.into());
            }
            for (key, span) in [("window", "10s"), ("open", "5s"), ("open_max", "60s")] {
                table(provider, "breaker").entry(key).or_insert(span.into());
            }
            let window = provider["window"].clone();
            let declared = declared.iter().filter_map(Value::as_table).map(|key| limited(name, key));
            let declared: Vec<_> = declared.collect();
            for key in &declared {
                let mut known = key.clone();
                if let Some(Value::String(name)) = known.remove("name") {
                    known.insert("window".into(), window.clone());
                    keys.insert(name, known.into());
                }
            }
            provider.insert("keys".into(), declared.into_iter().map(Value::Table).collect::<Vec<_>>().into());
        }
        let simulator = self.simulator();
        // Every name is a model.
        simulator.insert("models".into(), Value::Array(Vec::new()));
        simulator.insert("keys".into(), keys.into());
        simulator.insert("faults".into(), ends.model.clone().into());
    }

    /// A side's own part.
    #[must_use]
    pub fn on_side(&self, which: Which, ends: &Ends) -> Table {
        let side = match which {
            Which::Off => &ends.off,
            Which::On => &ends.on,
        };
        let mut settings = self.settings.clone();
        tables(&mut settings, "tools").for_each(|(_, tool)| lay_over(tool, &side.tool));
        for (_, provider) in tables(&mut settings, "providers") {
            lay_over(provider, &side.provider);
            let keys = provider.get_mut("keys").and_then(Value::as_array_mut).filter(|_| side.without_limits);
            let keys = keys.into_iter().flatten().filter_map(Value::as_table_mut);
            keys.for_each(|key| key.retain(|setting, _| setting == "name"));
        }
        settings
    }
}

/// A key by a name that no other provider has, with the limits that can be kept strictly.
fn limited(provider: &str, key: &Table) -> Table {
    let name = key.get("name").and_then(Value::as_str).unwrap_or("key");
    let limits = |from: &Table| -> Table {
        from.iter()
            .filter(|(key, _)| LIMITS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let mut limited = limits(key);
    limited.insert("name".into(), format!("{provider}-{name}").into());
    if let Some(models) = key.get("models").and_then(Value::as_table) {
        let models =
            models.iter().filter_map(|(model, own)| Some((model.clone(), Value::Table(limits(own.as_table()?)))));
        limited.insert("models".into(), Value::Table(models.collect()));
    }
    limited
}

/// What a tool declares of its arguments; null where it declares nothing that can be read.
fn schema(tool: &Table, folder: &Path) -> Json {
    let text = match (tool.get("schema"), tool.get("schema_file")) {
        (Some(Value::String(text)), _) => Some(text.clone()),
        (_, Some(Value::String(file))) => std::fs::read_to_string(folder.join(file)).ok(),
        _ => None,
    };
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
