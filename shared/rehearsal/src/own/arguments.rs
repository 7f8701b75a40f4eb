//! Arguments that fit a JSON Schema: no more than it asks for.

use serde_json::{Map, Value, json};

/// Schemas within schemas, at the most: one may refer to itself.
const DEPTH_MAX: u32 = 8;

/// The smallest value that fits, as far as plain keywords say it. What does not fit is answered by the tool-proxy, as a
/// model's mistake would be.
pub(super) fn fitting(schema: &Value) -> Value {
    match value(schema, DEPTH_MAX) {
        Value::Object(fields) => Value::Object(fields),
        _ => json!({}),
    }
}

fn value(schema: &Value, depth: u32) -> Value {
    let said = ["const", "default"].into_iter().find_map(|keyword| schema.get(keyword));
    let listed = ["enum", "examples"].into_iter().find_map(|keyword| schema.get(keyword)?.get(0));
    if let Some(said) = said.or(listed) {
        return said.clone();
    }
    if depth == 0 {
        return Value::Null;
    }
    if let Some(one) = ["anyOf", "oneOf", "allOf"].into_iter().find_map(|keyword| schema.get(keyword)?.get(0)) {
        return value(one, depth - 1);
    }
    match kind(schema) {
        "string" => text(schema),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(true),
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(16);
            let item = schema.get("items").map_or(Value::Null, |items| value(items, depth - 1));
            (0..least).map(|_| item.clone()).collect()
        }
        "object" => object(schema, depth),
        _ => Value::Null,
    }
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}

fn text(schema: &Value) -> Value {
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(4_096) as usize;
    let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX) as usize;
    let mut text = "rehearsal".repeat(least.div_ceil(9).max(1));
    text.truncate(least.max(9).min(most));
    text.into()
}

fn object(schema: &Value, depth: u32) -> Value {
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut fields = Map::new();
    for name in required.iter().filter_map(Value::as_str) {
        let of = schema.get("properties").and_then(|properties| properties.get(name)).unwrap_or(&Value::Null);
        fields.insert(name.to_owned(), value(of, depth - 1));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_is_there_and_fits() {
        let schema = json!({
            "type": "object",
            "required": ["city", "days", "unit", "tags", "place", "sure", "note"],
            "properties": {
                "city": {"type": "string", "minLength": 12},
                "days": {"type": "integer", "minimum": 3},
                "unit": {"enum": ["C", "F"]},
                "tags": {"type": "array", "minItems": 2, "items": {"type": "string", "maxLength": 4}},
                "place": {"type": "object", "required": ["lat"], "properties": {"lat": {"type": "number"}}},
                "sure": {"type": ["boolean", "null"]},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "left_out": {"type": "string"},
            },
        });
        let wanted = json!({
            "city": "rehearsalreh", "days": 3, "unit": "C", "tags": ["rehe", "rehe"], "place": {"lat": 1}, "sure": true,
            "note": "rehearsal",
        });
        assert_eq!(fitting(&schema), wanted);
    }

    #[test]
    fn without_a_schema_there_are_no_arguments() {
        assert_eq!([fitting(&Value::Null), fitting(&json!({"type": "string"}))], [json!({}), json!({})]);
    }
}
