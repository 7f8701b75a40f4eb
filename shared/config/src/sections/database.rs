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
        if !is_postgres(secret.reveal()) {
            return Err(de::Error::custom(format!("{} does not hold a postgres:// URL", secret.reference())));
        }
        if !names_a_host(secret.reveal()) {
            return Err(de::Error::custom("names no host: \"postgres://HOST/NAME\", or ?host=/DIRECTORY for a socket"));
        }
        Ok(Self(secret))
    }
}

fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// Without a host a client would take whatever listens on this machine.
fn names_a_host(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let named = |part: &str| part.split_once('=').is_some_and(|(key, value)| key == "host" && !value.is_empty());
    !(host.is_empty() || host.starts_with(':')) || query.split('&').any(named)
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

    #[test]
    fn a_url_without_a_host_is_refused_and_not_printed() {
        for url in ["postgres://", "postgres://me:hush@", "postgres://me:hush@/db", "postgres://me:hush@:5432/db"] {
            let error = parse(&format!("[database]\nurl = {url:?}")).unwrap_err();
            assert_eq!(error.key.as_deref(), Some("database.url"));
            assert!(error.to_string().contains("names no host") && !error.to_string().contains("hush"), "{error}");
        }
        for url in ["postgres://db", "postgres://me:hush@[::1]:5432/db", "postgres:///db?host=/run/postgresql"] {
            assert!(parse(&format!("[database]\nurl = {url:?}")).is_ok(), "{url}");
        }
    }
}
