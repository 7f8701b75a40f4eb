use std::fmt;

/// A setting that does not hold, by its dotted key: found after parsing, where settings are checked against each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Invalid {
    /// The dotted key, such as `tools.search.fallback`.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub why: String,
}

impl Invalid {
    /// A setting that does not hold.
    pub fn new(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key: key.into(), why: why.into() }
    }
}

/// Why a configuration was not taken: names the place, so that the user can go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or the environment variable that overrode it.
    pub origin: String,
    /// The line, counted from 1, where there is one.
    pub line: Option<usize>,
    /// The dotted key, where there is one.
    pub key: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for ConfigError {}
