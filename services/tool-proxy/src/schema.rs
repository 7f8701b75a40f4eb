//! What arguments must look like: a JSON Schema, compiled once.

use std::collections::BTreeSet;
use std::fmt;

use holdfast_rpc::Error;
use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::config::Tool;

/// A schema may refer to itself: so deep its names are looked for.
const REFERENCES_MAX: u32 = 8;

/// A compiled JSON Schema with its text.
pub(crate) struct Schema {
    text: String,
    validator: Validator,
}

impl Schema {
    /// The schema of a tool; without one, any object fits. An error names the key and why.
    pub(crate) fn of(tool: &Tool) -> Result<Self, (String, String)> {
        let (key, text) = match (&tool.schema, &tool.schema_file) {
            (Some(_), Some(_)) => return Err(("schema".into(), "and schema_file cannot both be set".into())),
            (Some(text), None) => ("schema", text.clone()),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => ("schema_file", text),
                Err(error) => {
                    return Err(("schema_file".into(), format!("{} cannot be read: {error}", path.display())));
                }
            },
            (None, None) => ("schema", r#"{"type":"object"}"#.into()),
        };
        Self::compile(&text).map_err(|why| (key.into(), why))
    }

    /// A schema from its text; an error says why it is none.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        if !schema.is_object() {
            return Err("must be a JSON object, for arguments are one".into());
        }
        let validator = jsonschema::validator_for(&schema).map_err(|error| format!("is not a JSON Schema: {error}"))?;
        Ok(Self { text: schema.to_string(), validator })
    }

    /// The schema itself, as JSON.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The names of the arguments that it describes, wherever it does that.
    pub(crate) fn declared(&self) -> BTreeSet<String> {
        let root = serde_json::from_str(&self.text).unwrap_or_default();
        let mut names = BTreeSet::new();
        declared_in(&root, &root, REFERENCES_MAX, &mut names);
        names
    }

    /// Reads arguments, which must be an object that fits. Nothing at all counts as an empty object.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with the path of the first part that does not fit; values are not repeated.
    pub(crate) fn read(&self, arguments: &[u8]) -> Result<Map<String, Value>, Error> {
        let text = if arguments.is_empty() { b"{}" } else { arguments };
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| Error::invalid("arguments", format!("must be JSON: {error}")))?;
        self.validator.validate(&value).map_err(|error| {
            let path = format!("arguments{}", error.instance_path());
            Error::invalid(path, error.masked().to_string())
        })?;
        match value {
            Value::Object(object) => Ok(object),
            _ => Err(Error::invalid("arguments", "must be a JSON object")),
        }
    }

    /// Whether another tool's arguments fit too.
    pub(crate) fn fits(&self, arguments: &Map<String, Value>) -> bool {
        self.validator.is_valid(&Value::Object(arguments.clone()))
    }
}

/// The properties of a schema, of what it is combined from, and of what it refers to within itself.
fn declared_in(schema: &Value, root: &Value, deeper: u32, names: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        names.extend(properties.keys().cloned());
    }
    if deeper == 0 {
        return;
    }
    let combined = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    let referred = schema["$ref"].as_str().and_then(|path| root.pointer(path.strip_prefix('#')?));
    for part in combined.chain(referred).chain(["if", "then", "else"].iter().filter_map(|key| schema.get(key))) {
        declared_in(part, root, deeper - 1, names);
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::compile(r#"{"type":"object","properties":{"to":{"type":"object","properties":{"iban":{"type":"string"}}}},"required":["to"]}"#)
            .expect("a schema")
    }

    #[test]
    fn an_error_names_the_path_and_repeats_no_value() {
        let error = schema().read(br#"{"to":{"iban":4711}}"#).expect_err("not a string");
        assert!(error.to_string().starts_with("arguments/to/iban: "), "{error}");
        assert!(!error.to_string().contains("4711"), "{error}");
    }

    #[test]
    fn arguments_are_found_wherever_they_are_described() {
        let text = r##"{"properties":{"a":{"properties":{"inner":{}}}},"$ref":"#/$defs/more",
            "$defs":{"more":{"properties":{"b":{}},"allOf":[{"$ref":"#"},{"oneOf":[{"properties":{"c":{}}}]}]}}}"##;
        let declared = Schema::compile(text).expect("a schema").declared();
        assert_eq!(declared.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_missing_or_malformed_is_refused() {
        for text in ["{}", "", "[]", "4", "{", "{\"to\":1}"] {
            assert_eq!(schema().read(text.as_bytes()).expect_err(text).code(), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        assert!(Schema::compile("{").is_err());
        assert!(Schema::compile("[]").is_err());
        assert!(Schema::compile(r#"{"type":"strin"}"#).is_err());
    }
}
