//! JSON with places to fill in: `{{path.to.value|default}}`. A string that is one place alone becomes the value with its
//! type; within a longer string it becomes text.

use serde_json::Value;

/// Fills in every place. `find` knows the values by their paths; what it does not know is the default, or empty.
pub(crate) fn render(template: &Value, find: &dyn Fn(&str) -> Option<Value>) -> Value {
    match template {
        Value::String(text) => render_text(text, find),
        Value::Array(items) => items.iter().map(|item| render(item, find)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), render(field, find)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Fills in the places of one text.
pub(crate) fn render_text(text: &str, find: &dyn Fn(&str) -> Option<Value>) -> Value {
    if let Some(place) = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"))
        && !place.contains("{{")
    {
        return fill(place, find);
    }
    let mut rendered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        rendered.push_str(before);
        let Some((place, after)) = after.split_once("}}") else {
            rendered.push_str("{{");
            rest = after;
            continue;
        };
        rendered.push_str(&plain(&fill(place, find)));
        rest = after;
    }
    rendered.push_str(rest);
    rendered.into()
}

fn fill(place: &str, find: &dyn Fn(&str) -> Option<Value>) -> Value {
    let (path, default) = place.split_once('|').unwrap_or((place, ""));
    find(path.trim()).unwrap_or_else(|| default.trim().into())
}

/// A value as it reads within a text.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What stands at a path of dots within a value.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_alone_keeps_its_type_and_within_a_text_becomes_text() {
        let data = json!({"payment": {"amount": 12.5, "items": ["a", "b"]}});
        let find = |path: &str| at(&data, path).cloned();
        let template =
            json!({"amount": "{{payment.amount}}", "say": "{{payment.amount}} for {{payment.items.1}}", "n": 1});
        let rendered = render(&template, &find);
        assert_eq!(rendered, json!({"amount": 12.5, "say": "12.5 for b", "n": 1}));
    }

    #[test]
    fn what_is_unknown_is_the_default() {
        assert_eq!(render_text("{{nobody|C-0}}", &|_| None), json!("C-0"));
        assert_eq!(render_text("<{{nobody}}> {{open", &|_| None), json!("<> {{open"));
    }
}
