//! How an answer is to be: after a schema, and with how much thought.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    fields::Known,
    raw::{Wordless, parse, text},
};

#[derive(Debug, Default)]
pub(super) struct Output {
    /// Anthropic's `output_config`. What the caller says in its words stays.
    pub(super) config: BTreeMap<String, Box<RawValue>>,
    /// The caller wants no thinking.
    pub(super) thinks_not: bool,
}

#[derive(Deserialize)]
struct Wanted<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, borrow)]
    json_schema: Option<Schema<'a>>,
}

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(default, borrow)]
    schema: Option<&'a RawValue>,
}

#[derive(serde::Serialize)]
struct Format<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: &'a RawValue,
}

/// Reads what concerns it: `output_config`, `response_format` and `reasoning_effort`.
pub(super) fn read(fields: Known<'_>) -> Result<Output, Wordless> {
    let mut output = Output::default();
    if let Some(config) = fields.get("output_config") {
        output.config = parse(config).ok_or_else(|| Wordless::new("output_config", "is not an object"))?;
    }
    if let Some(format) = fields.get("response_format").map(format).transpose()?.flatten() {
        output.config.entry("format".into()).or_insert(format);
    }
    if let Some(effort) = fields.get("reasoning_effort") {
        let effort = text(effort).ok_or_else(|| Wordless::new("reasoning_effort", "is not a text"))?;
        match &*effort {
            "none" => output.thinks_not = true,
            // One of OpenAI's that Anthropic has not; the others are the same.
            "minimal" => output.say_effort("low"),
            effort => output.say_effort(effort),
        }
    }
    Ok(output)
}

impl Output {
    fn say_effort(&mut self, effort: &str) {
        self.config.entry("effort".into()).or_insert_with(|| to_raw_value(effort).expect("a text is JSON"));
    }
}

fn format(format: &RawValue) -> Result<Option<Box<RawValue>>, Wordless> {
    let wanted: Wanted<'_> = parse(format).ok_or_else(|| Wordless::new("response_format", "is not one"))?;
    match (&*wanted.kind, wanted.json_schema.and_then(|wanted| wanted.schema)) {
        ("text", _) => Ok(None),
        ("json_schema", Some(schema)) => {
            Ok(Some(to_raw_value(&Format { kind: "json_schema", schema }).expect("a schema is JSON")))
        }
        ("json_schema", None) => Err(Wordless::new("response_format.json_schema.schema", "is missing")),
        _ => {
            Err(Wordless::new("response_format.type", "Anthropic writes JSON after a schema only: give a json_schema"))
        }
    }
}
