//! Where a request goes: the configured URL, with arguments in its path and its query. Scheme, host and port come from
//! the configuration alone; what an argument says stays within its segment or its parameter.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;
use serde_json::{Map, Value};

use super::form::{Unfit, Wrong};
use super::template::{Template, plain};

/// All but what RFC 3986 calls unreserved: an argument has no character that means anything in a path.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A URL with places for arguments.
#[derive(Debug)]
pub(super) struct Address {
    base: Url,
    /// The segments of the path, where one of them has a place.
    segments: Option<Vec<Template>>,
    /// Parameters with their values, more than one where the name is repeated.
    query: Vec<(String, Vec<Template>)>,
}

impl Address {
    /// Reads `url` and `query`; an error names the key and why.
    pub(super) fn parse(url: &str, query: &BTreeMap<String, Value>) -> Result<Self, Wrong> {
        let wrong = |why: String| ("url".to_owned(), why);
        let (before, path, after) = split(url);
        for outside in [before, after] {
            if outside.contains(['{', '}']) {
                let why = "an argument may stand in the path; one for the query belongs into the key query";
                return Err(wrong(format!("{outside:?} has a brace: {why}")));
            }
        }
        let parse = |text: &str| Url::parse(text).map_err(|error| wrong(format!("{url:?} is not a URL: {error}")));
        let (base, segments) = if path.contains(['{', '}']) {
            let read = |segment| segment_of(segment).map_err(wrong);
            let segments = path.split('/').skip(1).map(read).collect::<Result<_, _>>()?;
            (parse(&format!("{before}/{after}"))?, Some(segments))
        } else {
            (parse(url)?, None)
        };
        let query = query.iter().map(|(name, value)| Ok((name.clone(), parameter(name, value)?)));
        Ok(Self { base, segments, query: query.collect::<Result<_, Wrong>>()? })
    }

    /// Each placeholder with the key it stands in.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let path = self.segments.iter().flatten().flat_map(Template::names).map(|name| ("url".to_owned(), name));
        let query = self.query.iter().flat_map(|(key, values)| {
            values.iter().flat_map(Template::names).map(move |name| (format!("query.{key}"), name))
        });
        path.chain(query)
    }

    /// Whether the configuration itself sets a parameter: in whatever case, for some servers read names so.
    pub(super) fn sets(&self, parameter: &str) -> bool {
        self.query.iter().any(|(name, _)| name.eq_ignore_ascii_case(parameter))
            || self.base.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case(parameter))
    }

    /// The URL with the arguments in their places.
    pub(super) fn fill(&self, arguments: &Map<String, Value>) -> Result<Url, Unfit> {
        let mut url = self.base.clone();
        if let Some(segments) = &self.segments {
            url.set_path(&path(segments, arguments)?);
        }
        for (name, values) in &self.query {
            for value in values {
                append(&mut url, name, value, arguments);
            }
        }
        Ok(url)
    }
}

/// A URL before its path, the path, and what follows it.
fn split(url: &str) -> (&str, &str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let from = url[authority..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| authority + at);
    let to = url[from..].find(['?', '#']).map_or(url.len(), |at| from + at);
    (&url[..from], &url[from..to], &url[to..])
}

fn segment_of(text: &str) -> Result<Template, String> {
    let whole = |escape: &str| escape.len() > 1 && escape.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if text.contains('\\') || !text.split('%').skip(1).all(whole) {
        return Err(format!("{text:?} has a backslash or half an escape beside a placeholder"));
    }
    Template::parse(text)
}

fn parameter(name: &str, value: &Value) -> Result<Vec<Template>, Wrong> {
    let one = |value: &Value| match value {
        Value::String(text) => Template::parse(text).map_err(|why| (format!("query.{name}"), why)),
        Value::Number(_) | Value::Bool(_) => Ok(Template::fixed(value.to_string())),
        _ => Err((format!("query.{name}"), "must be text, a number, a boolean or a list of them".into())),
    };
    match value {
        Value::Array(items) => items.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn path(segments: &[Template], arguments: &Map<String, Value>) -> Result<String, Unfit> {
    let mut path = String::new();
    for segment in segments {
        let encoded = segment.fill(arguments, encode).map_err(|name| {
            let missing = arguments.get(name).is_none_or(Value::is_null);
            let why = if missing { "is missing" } else { "must be text, a number or a boolean" };
            Unfit { argument: name.into(), why: format!("{why}: it is a part of the tool's path") }
        })?;
        if let Some(name) = segment.names().next()
            && strays(&encoded)
        {
            let why = "must not be empty, nor lead elsewhere with \".\" or \"..\": it is a part of the tool's path";
            return Err(Unfit { argument: name.into(), why: why.into() });
        }
        path.push('/');
        path.push_str(&encoded);
    }
    Ok(path)
}

fn encode(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Array(_) | Value::Object(_) => None,
        value => plain(value).map(|text| utf8_percent_encode(&text, RESERVED).to_string().into()),
    }
}

/// Whether a segment is none, or one by which somebody on the way could leave the path: at once, or after decoding it
/// once or, as careless servers do, twice. Some servers cut off what follows a semicolon before they look.
fn strays(encoded: &str) -> bool {
    let named = |part: &str| part.split(';').next().is_some_and(|name| matches!(name, "." | ".."));
    let climbs = |text: &str| text.split(['/', '\\']).any(named);
    let once = percent_decode_str(encoded).decode_utf8_lossy();
    let twice = percent_decode_str(&once).decode_utf8_lossy();
    encoded.is_empty() || climbs(&once) || climbs(&twice)
}

/// An argument that is missing or null leaves its parameter out; a list alone repeats it.
fn append(url: &mut Url, name: &str, value: &Template, arguments: &Map<String, Value>) {
    match value.alone() {
        Some(argument) => append_value(url, name, arguments.get(argument).unwrap_or(&Value::Null)),
        None => {
            if let Ok(text) = value.fill(arguments, plain) {
                url.query_pairs_mut().append_pair(name, &text);
            }
        }
    }
}

/// Strings as they are, lists as repeated names, objects as JSON; null is left out.
pub(super) fn append_value(url: &mut Url, name: &str, value: &Value) {
    let texts = match value {
        Value::Array(items) => items.iter().map(|item| plain(item).unwrap_or_else(|| "null".into())).collect(),
        value => plain(value).into_iter().collect::<Vec<_>>(),
    };
    if !texts.is_empty() {
        url.query_pairs_mut().extend_pairs(texts.iter().map(|text| (name, text)));
    }
}

#[cfg(test)]
mod tests;
