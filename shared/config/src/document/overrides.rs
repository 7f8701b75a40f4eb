//! What the environment says over a file.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::ConfigError;

/// One `HOLDFAST_<SECTION>__<KEY>` variable.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) variable: String,
    pub(super) path: Vec<String>,
    value: String,
}

/// All that an environment has, in the order of their names.
pub(super) fn overrides(environment: impl IntoIterator<Item = (String, String)>) -> Vec<Override> {
    let mut found: Vec<_> = environment
        .into_iter()
        .filter_map(|(variable, value)| {
            let path = variable.strip_prefix("HOLDFAST_")?.to_lowercase();
            path.contains("__").then(|| Override {
                path: path.split("__").map(Into::into).collect(),
                variable: variable.clone(),
                value,
            })
        })
        .collect();
    found.sort_by(|a, b| a.variable.cmp(&b.variable));
    found
}

impl Override {
    /// Puts the value at its place. What reads as a TOML value is one; anything else is a string.
    pub(super) fn apply<'i>(&'i self, table: &mut DeTable<'i>) -> Result<(), String> {
        let (last, parents) = self.path[1..].split_last().ok_or("names a section, and no key in it")?;
        let mut table = table;
        for parent in parents {
            let entry = table
                .entry(Spanned::new(0..0, parent.as_str().into()))
                .or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
            match entry.get_mut() {
                DeValue::Table(inner) => table = inner,
                _ => return Err(format!("{parent} is not a table")),
            }
        }
        let value = match DeValue::parse(&self.value) {
            Ok(value) => Spanned::new(0..0, value.into_inner()),
            Err(_) => Spanned::new(0..0, DeValue::String(self.value.as_str().into())),
        };
        // A key is equal by its name alone, but an entry keeps its first key: take the old one out.
        table.remove(last.as_str());
        table.insert(Spanned::new(0..0, last.as_str().into()), value);
        Ok(())
    }

    /// It does not hold.
    pub(super) fn error(&self, why: &str) -> ConfigError {
        ConfigError {
            origin: self.variable.clone(),
            line: None,
            key: Some(self.path.join(".")),
            why: why.trim().replace('\n', " "),
        }
    }
}
