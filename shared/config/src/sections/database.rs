use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::Secret;

/// Where production data is kept. Without a URL every service keeps its own files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// A PostgreSQL: `postgres://user:password@host:port/name`, or a reference to such a text.
    pub url: Option<DatabaseUrl>,
}

/// The URL of a database. It may hold a password, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Secret);

impl DatabaseUrl {
    /// The text. Whoever calls this takes care that it is not printed.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({})", self.0.reference())
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let secret = if is_postgres(&text) {
            Secret::in_memory(text)
        } else {
            Secret::resolve(&text).map_err(|why| de::Error::custom(format!("{why}, or \"postgres://HOST/NAME\"")))?
        };
        if is_postgres(secret.reveal()) {
            Ok(Self(secret))
        } else {
            Err(de::Error::custom(format!("{} does not hold a postgres:// URL", secret.reference())))
        }
    }
}

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

#[cfg(test)]
mod tests {
    use crate::{Common, Document};

    fn parse(text: &str) -> Result<Common, crate::ConfigError> {
        Common::from_document(&Document::parse("test", text, std::iter::empty())?)
    }

    #[test]
    fn a_database_is_named_by_its_url_which_is_never_printed() {
        let common = parse("[database]\nurl = \"postgres://me:hush@db/holdfast\"").unwrap();
        assert_eq!(common.database.url.as_ref().unwrap().reveal(), "postgres://me:hush@db/holdfast");
        assert!(!format!("{common:?}").contains("hush"));
        assert!(parse("").unwrap().database.url.is_none());
    }

    #[test]
    fn another_database_is_refused_by_name() {
        let error = parse("[database]\nurl = \"mysql://db/holdfast\"").unwrap_err();
        assert_eq!(error.key.as_deref(), Some("database.url"));
        assert!(error.to_string().contains("postgres://"), "{error}");
    }
}
