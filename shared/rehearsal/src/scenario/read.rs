//! From text to a scenario, with errors that name line and key as those of `holdfast.toml` do.

use std::ops::Range;

use holdfast_config::{ConfigError, Invalid};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

/// The text of a file.
pub(super) fn file(path: &str) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError {
        origin: path.into(),
        line: None,
        key: None,
        why: format!("cannot be read: {error}"),
    })
}

/// A whole document as its type.
pub(super) fn document<T: DeserializeOwned>(origin: &str, text: &str) -> Result<T, ConfigError> {
    let root = root(origin, text)?;
    serde_path_to_error::deserialize(Deserializer::from(root)).map_err(|error| {
        let path = error.path().to_string();
        let key = Some(path).filter(|path| path != ".");
        place(origin, text, error.inner().span(), key, error.inner().message())
    })
}

/// Gives what does not hold its place in the text.
pub(super) fn locate(origin: &str, text: &str, invalid: &Invalid) -> ConfigError {
    let root = match root(origin, text) {
        Ok(root) => root,
        Err(error) => return error,
    };
    let (mut table, mut span) = (root.get_ref(), None);
    for part in invalid.key.split('.') {
        let Some((key, value)) = table.get_key_value(part) else { break };
        span = Some(key.span());
        let Some(inner) = value.get_ref().as_table() else { break };
        table = inner;
    }
    place(origin, text, span, Some(invalid.key.clone()), &invalid.why)
}

fn root<'a>(origin: &str, text: &'a str) -> Result<Spanned<DeTable<'a>>, ConfigError> {
    DeTable::parse(text).map_err(|error| place(origin, text, error.span(), None, error.message()))
}

fn place(origin: &str, text: &str, span: Option<Range<usize>>, key: Option<String>, why: &str) -> ConfigError {
    let before = |span: Range<usize>| text[..span.start.min(text.len())].matches('\n').count() + 1;
    let line = span.filter(|span| span.end > 0).map(before);
    ConfigError { origin: origin.into(), line, key, why: why.trim().replace('\n', " ") }
}
