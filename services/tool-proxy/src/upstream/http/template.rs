//! Text with places for arguments: `orders-{order_id}`. `{{` and `}}` stand for a brace.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// A text that is completed with arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Argument(String),
}

impl Template {
    /// Reads a text; an error is a sentence for the operator.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = ["{{", "}}"].into_iter().find_map(|twice| from.strip_prefix(twice)) {
                plain.push_str(&from[..1]);
                rest = after;
            } else {
                let (name, after) = argument(from)?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Argument(name.to_owned()));
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// A text without any.
    pub(super) fn fixed(text: String) -> Self {
        Self { pieces: vec![Piece::Text(text)] }
    }

    /// The names of its arguments.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Argument(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The argument that it consists of, with nothing around it.
    pub(super) fn alone(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Argument(name)] => Some(name),
            _ => None,
        }
    }

    /// The text with every argument in its place as `write` has it; `Err` with the name of the first that is missing
    /// or that `write` does not take.
    pub(super) fn fill<'a>(
        &'a self,
        arguments: &'a Map<String, Value>,
        write: impl Fn(&'a Value) -> Option<Cow<'a, str>>,
    ) -> Result<String, &'a str> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Argument(name) => match arguments.get(name).and_then(&write) {
                    Some(text) => filled.push_str(&text),
                    None => return Err(name),
                },
            }
        }
        Ok(filled)
    }
}

/// The name behind an opening brace, and what follows the closing one.
fn argument(from: &str) -> Result<(&str, &str), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    from.strip_prefix('{')
        .and_then(|inside| inside.split_once('}'))
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(fits))
        .ok_or_else(|| {
            format!(
                "{:?} is no placeholder: write {{name}} for an argument, and {{{{ or }}}} for a brace",
                from.chars().take(24).collect::<String>()
            )
        })
}

/// A value within a text: strings as they are, the rest as JSON; `None` for null, which is nothing.
pub(super) fn plain(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.as_str().into()),
        other => Some(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(text: &str, arguments: Value) -> Result<String, String> {
        let arguments = arguments.as_object().expect("an object").clone();
        Template::parse(text).expect("a template").fill(&arguments, plain).map_err(str::to_owned)
    }

    #[test]
    fn arguments_take_their_places() {
        assert_eq!(fill("{a}-{b_2}.{a}", json!({"a": "x{b_2}", "b_2": 7})), Ok("x{b_2}-7.x{b_2}".into()));
        assert_eq!(fill("as it is", json!({})), Ok("as it is".into()));
        assert_eq!(fill("", json!({})), Ok(String::new()));
    }

    #[test]
    fn a_brace_is_written_twice() {
        assert_eq!(fill("{{ user(id: {id}) {{ name }} }}", json!({"id": 7})), Ok("{ user(id: 7) { name } }".into()));
        assert_eq!(fill("{{{id}}}", json!({"id": 7})), Ok("{7}".into()));
    }

    #[test]
    fn the_first_argument_that_is_missing_is_named() {
        assert_eq!(fill("{a}{b}", json!({"a": 1})), Err("b".into()));
        assert_eq!(fill("{a}", json!({"a": null})), Err("a".into()));
    }

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for text in ["{", "}", "{}", "{a", "a}", "{a b}", "{ä}", "{{a}", "{a}}", "{a{b}}"] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains("is no placeholder"), "{error}");
        }
    }
}
