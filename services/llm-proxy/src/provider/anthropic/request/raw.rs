//! JSON that is looked into no deeper than it must be: what is only passed on is not taken apart.

use std::{
    borrow::{Borrow, Cow},
    collections::BTreeMap,
    fmt::Display,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::super::Failure;

/// A text, without a copy where it stands there as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The members of an object.
pub(super) type Members<'a> = BTreeMap<Text<'a>, &'a RawValue>;

/// What there is no word for: where it stands in the request, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wordless {
    at: String,
    why: String,
}

impl Wordless {
    pub(super) fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: at.into(), why: why.into() }
    }

    /// The same, seen from what it stands in.
    pub(super) fn under(self, parent: impl Display) -> Self {
        let dot = if self.at.is_empty() || self.at.starts_with('[') { "" } else { "." };
        let at = format!("{parent}{dot}{}", self.at);
        Self { at, ..self }
    }
}

impl From<Wordless> for Failure {
    fn from(Wordless { at: field, why: message }: Wordless) -> Self {
        Self::Untranslatable { field, message }
    }
}

/// Reads a value; `None` where it is none of these.
pub(super) fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    parse::<Text<'_>>(raw).map(|text| text.0)
}

/// Takes a member out; one that is null is not there.
pub(super) fn take<'a>(members: &mut Members<'a>, name: &str) -> Option<&'a RawValue> {
    members.remove(name).filter(|value| value.get() != "null")
}

/// Takes a text out. One that is missing is empty.
pub(super) fn take_text<'a>(members: &mut Members<'a>, name: &str) -> Result<Cow<'a, str>, Wordless> {
    let value = take(members, name);
    value.map_or(Ok("".into()), |value| text(value).ok_or_else(|| Wordless::new(name, "is not a text")))
}

/// Takes an object out.
pub(super) fn take_members<'a>(members: &mut Members<'a>, name: &str) -> Result<Members<'a>, Wordless> {
    take(members, name).and_then(parse).ok_or_else(|| Wordless::new(name, "is not an object"))
}

/// What is left has no word here, but for what is null.
pub(super) fn nothing_left(members: Members<'_>) -> Result<(), Wordless> {
    match members.into_iter().find(|(_, value)| value.get() != "null") {
        Some((name, _)) => Err(Wordless::new(name.0, "Anthropic's protocol has nothing for it")),
        None => Ok(()),
    }
}
