//! `holdfast.toml` for a side: what both have, what it has by itself, and time divided.

use holdfast_config::{ConfigError, Document};
use serde_json::Value as Json;
use toml::{Table, Value};

use super::{Scenario, Which};

impl Scenario {
    /// The simulated tools, with the faults that they have by themselves.
    pub(crate) fn tools(&self, which: Which, seed: u64) -> Vec<(String, Json)> {
        let settings: Table = self.configuration(which, seed).parse().unwrap_or_default();
        let tools = settings.get("simulator").and_then(|simulator| simulator.get("tools")).and_then(Value::as_table);
        let faults = |tool: &Value| tool.get("faults").and_then(|faults| serde_json::to_value(faults).ok());
        let tools = tools.into_iter().flatten();
        tools.map(|(name, tool)| (name.clone(), faults(tool).unwrap_or_else(|| serde_json::json!({})))).collect()
    }

    /// The keys by which the simulated provider knows who asks: of somebody's own agents, those that are declared.
    pub(crate) fn model_keys(&self, seed: u64) -> Vec<String> {
        let settings: Table = match self.played {
            Some(_) => self.configuration(Which::On, seed).parse().unwrap_or_default(),
            None => Table::new(),
        };
        let keys = settings.get("simulator").and_then(|simulator| simulator.get("keys")).and_then(Value::as_table);
        let keys: Vec<_> = keys.into_iter().flat_map(Table::keys).cloned().collect();
        // With none there is nothing by which a simulator is known to be the rehearsal's.
        if keys.is_empty() { vec![self.agent.model_key.clone()] } else { keys }
    }

    /// The text of a side's `holdfast.toml`.
    ///
    /// # Panics
    /// Never: a table has a text.
    pub fn configuration(&self, which: Which, seed: u64) -> String {
        let mut settings = self.laid_together(which, seed);
        self.put_keys(which, &mut settings);
        text(&settings)
    }

    /// All that is wrong with the settings of sides, each at the place where it was written; `check` tells it of a document.
    ///
    /// # Panics
    /// Never: a table has a text.
    pub fn problems(
        &self,
        sides: &[Which],
        seed: u64,
        check: impl Fn(&Document) -> Vec<ConfigError>,
    ) -> Vec<ConfigError> {
        let mut problems = self.played.as_ref().map(|own| own.problems(&check)).unwrap_or_default();
        for which in sides {
            // Without keys, whose secrets only a mesh that is started has in its environment.
            let text = text(&self.laid_together(*which, seed));
            let found =
                Document::parse(&self.name, &text, []).map_or_else(|error| vec![error], |document| check(&document));
            problems.extend(found.into_iter().map(|problem| self.placed(*which, problem)));
        }
        problems.sort_by_key(|problem| (problem.origin.clone(), problem.line, problem.to_string()));
        // The same, once as it is written and once as it is played.
        problems
            .dedup_by(|later, kept| (&later.origin, &later.line, &later.key) == (&kept.origin, &kept.line, &kept.key));
        problems
    }

    fn laid_together(&self, which: Which, seed: u64) -> Table {
        let mut settings = self.settings.clone();
        if let (Some(played), Some(ends)) = (&self.played, &self.own) {
            settings = played.on_side(which, ends);
            lay_over(&mut settings, &self.settings);
        }
        lay_over(&mut settings, &self.manner(which).settings);
        self.pace().settings(&mut settings);
        if let Some(Value::Table(simulator)) = settings.get_mut("simulator") {
            // Numbers in TOML are signed.
            simulator.insert("seed".into(), Value::Integer((seed & i64::MAX as u64) as i64));
        }
        settings
    }
}

fn text(settings: &Table) -> String {
    toml::to_string(settings).expect("what was read as TOML can be written as TOML")
}

/// Lays one table over another: tables are merged, all else is replaced.
pub(crate) fn lay_over(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => lay_over(inner, changes),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}
