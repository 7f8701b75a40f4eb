//! `holdfast.toml` for a side: what both have, what it has by itself, and time divided.

use toml::{Table, Value};

use super::{Scenario, Which};

impl Scenario {
    /// The text of a side's `holdfast.toml`.
    ///
    /// # Panics
    /// Never: a table has a text.
    pub fn configuration(&self, which: Which, seed: u64) -> String {
        let mut settings = self.settings.clone();
        lay_over(&mut settings, &self.manner(which).settings);
        self.pace().settings(&mut settings);
        if let Some(Value::Table(simulator)) = settings.get_mut("simulator") {
            // Numbers in TOML are signed.
            simulator.insert("seed".into(), Value::Integer((seed & i64::MAX as u64) as i64));
        }
        toml::to_string(&settings).expect("what was read as TOML can be written as TOML")
    }
}

/// Lays one table over another: tables are merged, all else is replaced.
pub(super) fn lay_over(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => lay_over(inner, changes),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}
