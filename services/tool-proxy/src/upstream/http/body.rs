//! The body of a request as its operator has it: JSON, whose strings may have places for arguments.

use serde_json::{Map, Value};

use super::template::{Template, plain};

/// A JSON value with places for arguments.
#[derive(Debug)]
pub(super) enum Body {
    Fixed(Value),
    Place(Template),
    List(Vec<Body>),
    Object(Vec<(String, Body)>),
}

impl Body {
    /// Reads `body`: a value, or a text that reads as JSON.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        match value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
            Some(value) => Self::read(&value),
            None => Self::read(value),
        }
    }

    fn read(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Place(Template::parse(text)?),
            Value::Array(items) => Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| Ok((name.clone(), Self::read(value)?));
                Self::Object(fields.iter().map(field).collect::<Result<_, String>>()?)
            }
            plain => Self::Fixed(plain.clone()),
        })
    }

    /// The names of its placeholders.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Place(template) => template.names().collect(),
            Self::List(items) => items.iter().flat_map(Self::names).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, value)| value.names()).collect(),
        }
    }

    /// The value with the arguments in their places. A placeholder alone keeps the type of its argument; one whose
    /// argument is missing leaves its field or its item out.
    pub(super) fn fill(&self, arguments: &Map<String, Value>) -> Value {
        self.part(arguments).unwrap_or(Value::Null)
    }

    fn part(&self, arguments: &Map<String, Value>) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Place(template) => match template.alone() {
                Some(name) => arguments.get(name).cloned(),
                None => template.fill(arguments, plain).ok().map(Value::String),
            },
            Self::List(items) => Some(items.iter().filter_map(|item| item.part(arguments)).collect()),
            Self::Object(fields) => {
                let field = |(name, value): &(String, Self)| Some((name.clone(), value.part(arguments)?));
                Some(Value::Object(fields.iter().filter_map(field).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(body: Value, arguments: &Value) -> Value {
        Body::parse(&body).expect("a body").fill(arguments.as_object().expect("an object"))
    }

    #[test]
    fn a_placeholder_alone_keeps_the_type_and_an_embedded_one_becomes_text() {
        let body = json!({"id": "{id}", "to": {"all": ["{list}", "fixed", 7]}, "text": "no. {id} of {list}"});
        let filled = fill(body, &json!({"id": 7, "list": [1, {"a": null}]}));
        let list = json!([1, {"a": null}]);
        let text = format!("no. 7 of {list}");
        assert_eq!(filled, json!({"id": 7, "to": {"all": [list, "fixed", 7]}, "text": text}));
    }

    #[test]
    fn what_is_missing_leaves_its_field_out_and_null_stays() {
        let body = json!({"a": "{a}", "b": "{b}", "c": "x{a}", "d": ["{a}", "{b}"]});
        assert_eq!(fill(body, &json!({"b": null})), json!({"b": null, "d": [null]}));
        assert_eq!(fill(json!("{a}"), &json!({})), Value::Null);
    }

    #[test]
    fn a_text_that_reads_as_json_is_that_json() {
        assert_eq!(fill(json!(r#"{"q": "{a}", "n": 1}"#), &json!({"a": true})), json!({"q": true, "n": 1}));
        assert_eq!(fill(json!("{a}"), &json!({"a": [1]})), json!([1]));
        assert_eq!(fill(json!("Hello {a}!"), &json!({"a": "you"})), json!("Hello you!"));
    }

    #[test]
    fn no_argument_becomes_structure() {
        let sly = json!({"a": r#"", "admin": true, "b": "{b}"#, "b": "secret"});
        assert_eq!(fill(json!({"q": "<{a}>"}), &sly), json!({"q": r#"<", "admin": true, "b": "{b}>"#}));
    }
}
