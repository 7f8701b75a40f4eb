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

/// One `HOLDFAST_<SECTION>__<KEY>` variable.
#[derive(Debug, Clone)]
struct Override {
    variable: String,
    path: Vec<String>,
    value: String,
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

impl Override {
    /// Puts the value at its place. What reads as a TOML value is one; anything else is a string.
    fn apply<'i>(&'i self, table: &mut DeTable<'i>) -> Result<(), String> {
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

    fn error(&self, why: &str) -> ConfigError {
        ConfigError {
            origin: self.variable.clone(),
            line: None,
            key: Some(self.path.join(".")),
            why: why.trim().replace('\n', " "),
        }
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

fn overrides(environment: impl IntoIterator<Item = (String, String)>) -> Vec<Override> {
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

fn unknown_section() -> String {
    format!("there is no such section; there are {}", SECTIONS.join(", "))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::Span;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Queue {
        lease: Span,
        depth: usize,
    }

    impl Default for Queue {
        fn default() -> Self {
            Self { lease: Span::from_secs(10), depth: 7 }
        }
    }

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Document, ConfigError> {
        Document::parse("t.toml", text, environment.iter().map(|(k, v)| ((*k).into(), (*v).into())))
    }

    #[test]
    fn every_key_has_a_default() {
        let queue: Queue = parse("", &[]).expect("empty is fine").section("queue").expect("defaults");
        assert_eq!(queue, Queue::default());
    }

    #[test]
    fn an_unknown_key_names_file_line_and_key() {
        let document = parse("[queue]\nlease = \"3s\"\nlaese = \"3s\"\n", &[]).expect("it is TOML");
        let error = document.section::<Queue>("queue").expect_err("no such key");
        assert!(error.to_string().starts_with("t.toml:3: queue.laese: unknown field"), "{error}");
    }

    #[test]
    fn an_unknown_section_names_its_line() {
        let error = parse("\n[quue]\n", &[]).expect_err("no such section");
        assert!(error.to_string().starts_with("t.toml:2: quue: there is no such section"), "{error}");
    }

    #[test]
    fn a_wrong_value_names_its_line() {
        let document = parse("[queue]\n\nlease = 3\n", &[]).expect("it is TOML");
        let error = document.section::<Queue>("queue").expect_err("a number has no unit");
        assert!(error.to_string().starts_with("t.toml:3: queue.lease: "), "{error}");
        assert!(error.to_string().contains("250ms"), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment =
            [("HOLDFAST_QUEUE__LEASE", "4s"), ("HOLDFAST_QUEUE__DEPTH", "9"), ("HOLDFAST_TEST_DATA", "x")];
        let document = parse("[queue]\nlease = \"3s\"\n", &environment).expect("it is TOML");
        let queue: Queue = document.section("queue").expect("both hold");
        assert_eq!(queue, Queue { lease: Span::from_secs(4), depth: 9 });
    }

    #[test]
    fn a_wrong_override_names_the_variable() {
        let document = parse("", &[("HOLDFAST_QUEUE__DEPTH", "many")]).expect("it is TOML");
        let error = document.section::<Queue>("queue").expect_err("not a number");
        assert!(error.to_string().starts_with("HOLDFAST_QUEUE__DEPTH: queue.depth: "), "{error}");
    }

    #[test]
    fn a_file_that_is_read_again_stands_under_the_environment_of_its_first_reading() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("holdfast.toml");
        fs::write(&path, "[queue]\nlease = \"3s\"\n").expect("it is written");
        let environment = [("HOLDFAST_QUEUE__DEPTH".to_owned(), "9".to_owned())];
        let document = Document::read(&path, environment).expect("it is TOML");
        fs::write(&path, "[queue]\nlease = \"4s\"\n").expect("it is written");
        let queue: Queue = document.reread().expect("it is TOML").section("queue").expect("both hold");
        assert_eq!(queue, Queue { lease: Span::from_secs(4), depth: 9 });
        fs::write(&path, "[quue]\n").expect("it is written");
        let error = document.reread().expect_err("no such section").to_string();
        assert!(error.contains(":1: quue: there is no such section"), "{error}");
    }

    #[test]
    fn a_failed_check_is_found_in_the_file() {
        let document = parse("[tools.a]\n[tools.b]\nx = 1\n", &[]).expect("it is TOML");
        let error = document.locate(Invalid::new("tools.b.fallback", "is missing"));
        assert_eq!(error.to_string(), "t.toml:2: tools.b.fallback: is missing");
    }
}
