//! A configuration text, and what the environment says over it.

mod overrides;

use std::{
    env, fs,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use self::overrides::{Override, overrides};
use crate::{ConfigError, Invalid};

/// Every section that a `holdfast.toml` may have.
pub const SECTIONS: [&str; 19] = [
    "agent",
    "agents",
    "data",
    "database",
    "gateway",
    "llm_proxy",
    "mcp",
    "mesh",
    "models",
    "providers",
    "queue",
    "redis",
    "simulator",
    "state",
    "telemetry",
    "tenants",
    "tls",
    "tool_proxy",
    "tools",
];

/// A configuration text with the overrides of the environment.
#[derive(Debug, Clone)]
pub struct Document {
    origin: String,
    /// The file, where it is one.
    path: Option<PathBuf>,
    text: String,
    overrides: Vec<Override>,
}

impl Document {
    /// Reads a file and this process's environment.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or has a section that nobody knows.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::read(path, env::vars())
    }

    /// Reads a file, under an environment.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn read(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let document = Self::parse(&path.display().to_string(), &text(path)?, environment)?;
        Ok(Self { path: Some(path.to_owned()), ..document })
    }

    /// Reads its file again, under the same environment; itself where it is none.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reread(&self) -> Result<Self, ConfigError> {
        let Some(path) = &self.path else { return Ok(self.clone()) };
        let again = Self { text: text(path)?, ..self.clone() };
        again.check()?;
        Ok(again)
    }

    /// Takes a text and an environment.
    ///
    /// # Errors
    /// The text is not TOML, or it or the environment names a section that nobody knows.
    pub fn parse(
        origin: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let overrides = overrides(environment);
        let document = Self { origin: origin.into(), path: None, text: text.into(), overrides };
        document.check()?;
        Ok(document)
    }

    /// Whether it has only sections that somebody knows.
    fn check(&self) -> Result<(), ConfigError> {
        let root = self.root()?;
        for name in root.get_ref().keys() {
            if !SECTIONS.contains(&name.get_ref().as_ref()) {
                return Err(self.error(Some(name.span()), Some(name.get_ref().as_ref()), &unknown_section()));
            }
        }
        for change in &self.overrides {
            if !SECTIONS.contains(&change.path[0].as_str()) {
                return Err(ConfigError {
                    origin: change.variable.clone(),
                    line: None,
                    key: Some(change.path[0].clone()),
                    why: unknown_section(),
                });
            }
        }
        Ok(())
    }

    /// Where the text came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The file that was read, where it was one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether the text or the environment says anything in a section.
    pub fn has_section(&self, name: &str) -> bool {
        self.root().is_ok_and(|root| root.get_ref().contains_key(name))
            || self.overrides.iter().any(|change| change.path[0] == name)
    }

    /// Whether another document says the same in a section.
    pub fn is_alike(&self, other: &Self, name: &str) -> bool {
        self.section::<toml::Table>(name) == other.section::<toml::Table>(name)
    }

    /// One section as its type; an absent one is its default.
    ///
    /// # Errors
    /// The first key that does not hold, with its line.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        let mut root = self.root()?;
        let section = root.get_mut().remove(name);
        let (mut table, span) = match section.map(|section| (section.span(), section.into_inner())) {
            Some((span, DeValue::Table(table))) => (table, span),
            Some((span, _)) => return Err(self.error(Some(span), Some(name), "must be a section: write [section]")),
            None => (DeTable::new(), 0..0),
        };
        for change in self.overrides.iter().filter(|change| change.path[0] == name) {
            change.apply(&mut table).map_err(|why| change.error(&why))?;
        }
        let deserializer = Deserializer::from(Spanned::new(span, table));
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let path = error.path().to_string();
            let key = if path == "." { name.to_owned() } else { format!("{name}.{path}") };
            let why = error.inner().message().to_owned();
            match self.overrides.iter().find(|change| change.path.join(".") == key) {
                Some(change) => change.error(&why),
                None => self.error(error.inner().span(), Some(&key), &why),
            }
        })
    }

    /// Gives a setting that does not hold its place in the file.
    pub fn locate(&self, invalid: Invalid) -> ConfigError {
        let mut parts = invalid.key.split('.');
        let span = self.root().ok().and_then(|root| {
            let mut found = None;
            let mut table = root.get_ref();
            for part in parts.by_ref() {
                let Some((key, value)) = table.get_key_value(part) else { break };
                found = Some(key.span());
                match value.get_ref().as_table() {
                    Some(inner) => table = inner,
                    None => break,
                }
            }
            found
        });
        self.error(span, Some(&invalid.key), &invalid.why)
    }

    fn root(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        DeTable::parse(&self.text).map_err(|error| self.error(error.span(), None, error.message()))
    }

    fn error(&self, span: Option<Range<usize>>, key: Option<&str>, why: &str) -> ConfigError {
        let line = span
            .filter(|span| span.end > 0)
            .map(|span| self.text[..span.start.min(self.text.len())].matches('\n').count() + 1);
        ConfigError { origin: self.origin.clone(), line, key: key.map(Into::into), why: why.trim().replace('\n', " ") }
    }
}

fn text(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| ConfigError {
        origin: path.display().to_string(),
        line: None,
        key: None,
        why: format!("cannot be read: {error}"),
    })
}

fn unknown_section() -> String {
    format!("there is no such section; there are {}", SECTIONS.join(", "))
}

#[cfg(test)]
mod tests;
