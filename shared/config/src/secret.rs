use std::{env, fmt, fs, path::PathBuf, sync::Arc};

use serde::{Deserialize, Deserializer, de};

/// A text that is given by reference (`env:NAME` or `file:PATH`), read when the configuration is read, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    reference: String,
    text: Arc<str>,
}

impl Secret {
    /// Reads what the reference names.
    ///
    /// # Errors
    /// A sentence for the user: the reference has another form, or what it names is missing, unreadable or empty.
    pub fn resolve(reference: &str) -> Result<Self, String> {
        let text = if let Some(name) = reference.strip_prefix("env:") {
            env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set; export it, or refer to a file"))?
        } else if let Some(path) = reference.strip_prefix("file:") {
            fs::read_to_string(path).map_err(|error| format!("the file {path} cannot be read: {error}"))?
        } else {
            return Err("a secret is given by reference: write \"env:NAME\" or \"file:PATH\"".into());
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("{reference} is empty"));
        }
        Ok(Self { reference: reference.to_owned(), text: text.into() })
    }

    /// A secret that exists in memory only, such as one minted by the program itself.
    pub fn in_memory(text: impl Into<Arc<str>>) -> Self {
        Self { reference: "memory".into(), text: text.into() }
    }

    /// The text. Whoever calls this takes care that it is not printed.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Where it came from, such as `env:OPENAI_API_KEY`.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The file behind a `file:` reference.
    pub fn path(&self) -> Option<PathBuf> {
        self.reference.strip_prefix("file:").map(PathBuf::from)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.reference)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reference = String::deserialize(deserializer)?;
        Self::resolve(&reference).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_its_file_and_never_printed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("key");
        fs::write(&path, "canary\n").expect("the file is written");

        let secret = Secret::resolve(&format!("file:{}", path.display())).expect("the file is there");

        assert_eq!(secret.reveal(), "canary");
        assert!(!format!("{secret:?}").contains("canary"));
    }

    #[test]
    fn a_missing_secret_says_what_is_missing() {
        let error = Secret::resolve("env:HOLDFAST_NO_SUCH_VARIABLE").expect_err("it is not set");
        assert!(error.contains("HOLDFAST_NO_SUCH_VARIABLE"), "{error}");
        let error = Secret::resolve("sk-plain").expect_err("plain text is refused");
        assert!(error.contains("env:NAME") && !error.contains("sk-plain"), "{error}");
    }
}
