//! Where the configuration comes from: the file that was named, `holdfast.toml` in this directory, or the demonstration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use holdfast_config::{ConfigError, Document};
use holdfast_rehearsal::Written;
use holdfast_rpc::service::DEFAULT_FILE;

/// The demonstration's configuration.
const DEMO: &str = include_str!("demo.toml");

/// How the demonstration is named in errors.
const DEMO_NAME: &str = "the built-in demonstration";

/// Variables that override the configuration, by name.
pub(crate) type Overrides = BTreeMap<String, String>;

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// Built in, with simulated ends.
    Demo,
}

impl Source {
    /// The named file, else the one in this directory, else the demonstration.
    pub(crate) fn find(named: Option<&Path>) -> Self {
        let here = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
        named.map(PathBuf::from).or_else(here).map_or(Self::Demo, Self::File)
    }

    /// Reads it, with the overrides of the environment and then those given.
    ///
    /// # Errors
    /// It cannot be read, is no TOML, or has a section that nobody knows.
    pub(crate) fn load(&self, overrides: &Overrides) -> Result<Document, ConfigError> {
        let mut environment: Overrides = std::env::vars().collect();
        environment.extend(overrides.clone());
        match self {
            Self::Demo => Document::parse(DEMO_NAME, DEMO, environment),
            Self::File(path) => Document::read(path, environment),
        }
    }

    /// All of it as it is written, and the folder from which it speaks of files.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn written(&self) -> Result<(Written, PathBuf), ConfigError> {
        self.load(&Overrides::new())?;
        Ok(match self {
            Self::Demo => (Written { origin: DEMO_NAME.into(), text: DEMO.into() }, PathBuf::new()),
            Self::File(path) => {
                // It has just been read.
                let text = std::fs::read_to_string(path).unwrap_or_default();
                let folder = path.parent().map(PathBuf::from).unwrap_or_default();
                (Written { origin: path.display().to_string(), text }, folder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check;

    #[test]
    fn the_demonstration_passes_its_own_check() {
        let document = Document::parse(DEMO_NAME, DEMO, []).expect("it is TOML");
        let problems = check::problems(&document);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Source::File("no/such/file.toml".into()).load(&Overrides::new()).expect_err("there is none");
        assert!(error.to_string().starts_with("no/such/file.toml: cannot be read"), "{error}");
    }
}
