//! What of arguments and results, prompts and answers may stand in traces: nothing, unless a tool or a model is declared with
//! `trace_content`; then all but what `redact` names. A rule that begins with `/` is a JSON pointer into arguments and
//! results; any other is a name of fields, at whatever depth and in whatever case. JSON inside of a string is looked through too, for servers pack their
//! results so. What is not JSON cannot be looked through: where there are rules, a content that is none is left out; and where
//! there are names, so is a string within JSON that is a block of an MCP server, what a tool was asked or answered within a
//! conversation, broken JSON, or has such a name in it.

use serde_json::Value;

/// What stands where something was taken out.
const REDACTED: &str = "[redacted]";
/// A span carries at most this much of arguments, and of a result.
const TRACED_BYTES_MAX: usize = 8 << 10;

/// What is taken out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redaction {
    /// Paths, as their parts.
    pointers: Vec<Vec<String>>,
    /// Names, in lower case.
    names: Vec<String>,
}

impl Redaction {
    /// Reads the rules.
    ///
    /// # Errors
    /// What is wrong with one.
    pub fn of(rules: &[String]) -> Result<Self, String> {
        let mut redaction = Self::default();
        for rule in rules {
            match rule.strip_prefix('/') {
                _ if rule.is_empty() => {
                    return Err("has an empty rule: to take out everything, leave trace_content off".into());
                }
                Some(path) => redaction.pointers.push(path.split('/').map(part).collect::<Result<_, _>>()?),
                None => redaction.names.push(rule.to_lowercase()),
            }
        }
        Ok(redaction)
    }

    /// The text that may stand in a trace.
    pub fn text(&self, content: &[u8]) -> String {
        let plain = self.pointers.is_empty() && self.names.is_empty();
        let text = match serde_json::from_slice::<Value>(content) {
            Ok(mut value) => {
                self.pointers.iter().for_each(|pointer| take_out(&mut value, pointer));
                self.look_through(&mut value);
                value.to_string()
            }
            Err(_) if plain => String::from_utf8_lossy(content).into_owned(),
            Err(_) => format!("[redacted: {} bytes that are not JSON]", content.len()),
        };
        cut(text)
    }

    fn look_through(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                // A text block, or the contents of a resource.
                let is_block = fields.contains_key("uri") || fields.get("type").is_some_and(|kind| kind == "text");
                // A tool's part of a conversation, in the words of OpenTelemetry's conventions.
                let of_tool = match fields.get("type").and_then(Value::as_str) {
                    Some("tool_call_response") => Some("response"),
                    Some("tool_call") => Some("arguments"),
                    _ => None,
                };
                for (name, value) in fields {
                    match value {
                        _ if self.names.contains(&name.to_lowercase()) => *value = REDACTED.into(),
                        Value::String(text) => self.unpack(text, is_block && name == "text" || of_tool == Some(name)),
                        _ => self.look_through(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.look_through(item)),
            Value::String(text) => self.unpack(text, false),
            _ => {}
        }
    }

    /// Looks through a string; `is_content` where it is a whole answer, in whatever words.
    fn unpack(&self, text: &mut String, is_content: bool) {
        if self.names.is_empty() {
            return;
        }
        match serde_json::from_str(text) {
            Ok(mut packed @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => {
                self.look_through(&mut packed);
                *text = packed.to_string();
            }
            Ok(_) => {}
            Err(_) if is_content || is_broken(text) || self.is_named_in(text) => REDACTED.clone_into(text),
            Err(_) => {}
        }
    }

    fn is_named_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.names.iter().any(|name| text.contains(name))
    }
}

/// Whether what is no JSON was to be some.
fn is_broken(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"'])
}

/// A part of a JSON pointer, with its escapes undone.
/// Source: <https://www.rfc-editor.org/rfc/rfc6901>
fn part(text: &str) -> Result<String, String> {
    if text.replace("~0", "").replace("~1", "").contains('~') {
        return Err(format!("has a \"~\" in {text:?} that is neither \"~0\" nor \"~1\""));
    }
    Ok(text.replace("~1", "/").replace("~0", "~"))
}

fn take_out(value: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        *value = REDACTED.into();
        return;
    };
    let below = match value {
        Value::Object(fields) => fields.get_mut(first),
        Value::Array(items) => first.parse().ok().and_then(|index: usize| items.get_mut(index)),
        _ => None,
    };
    if let Some(below) = below {
        take_out(below, rest);
    }
}

fn cut(text: String) -> String {
    if text.len() <= TRACED_BYTES_MAX {
        return text;
    }
    let end = (0..=TRACED_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{} [cut]", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(rules: &[&str], content: &str) -> String {
        let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
        Redaction::of(&rules).expect("they hold").text(content.as_bytes())
    }

    #[test]
    fn a_pointer_takes_out_what_it_points_at_and_nothing_else() {
        let content = r#"{"a":[{"b":1},{"b":2}],"b":3,"x/y":4}"#;
        assert_eq!(
            redacted(&["/a/1/b", "/x~1y"], content),
            r#"{"a":[{"b":1},{"b":"[redacted]"}],"b":3,"x/y":"[redacted]"}"#
        );
        assert_eq!(redacted(&["/a"], content), r#"{"a":"[redacted]","b":3,"x/y":4}"#);
        assert_eq!(redacted(&["/nowhere/0", "/b/c"], content), content, "what is not there is not missed");
    }

    #[test]
    fn a_name_takes_out_every_field_of_it_whatever_the_depth_the_case_and_the_packing() {
        let packed = serde_json::json!({"Card_Number": "4711", "items": [{"card_number": {"deep": "4711"}}]});
        let content = serde_json::json!([{"type": "text", "text": packed.to_string()}, packed]).to_string();
        let text = redacted(&["card_number"], &content);
        assert!(!text.contains("4711"), "{text}");
        assert!(text.contains("items") && text.contains("type"), "{text}");
    }

    #[test]
    fn words_within_json_are_left_out_where_a_name_could_be_among_them() {
        let content = serde_json::json!([
            {"type": "text", "text": "It is canary."},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "It is canary."}},
            {"type": "text", "text": "{\"seen\": 1, \"password\": \"canary\"}"},
            {"log": "user=ada PassWord=canary", "cut": "{\"password\": \"cana", "quoted": "\"password: canary\""},
            {"note": "seen too", "lines": ["{\"password\": \"canary\"}\n{\"password\": \"canary\"}"]},
        ])
        .to_string();
        let text = redacted(&["password"], &content);
        assert!(!text.contains("cana"), "{text}");
        assert!(text.matches("seen").count() == 2 && text.contains("\"note\":\"seen too\""), "{text}");
        assert_eq!(redacted(&["/none"], &content), content, "a pointer says itself what it means");
    }

    #[test]
    fn what_a_tool_was_asked_or_answered_in_plain_words_is_left_out_where_there_are_names() {
        let parts = serde_json::json!([
            {"type": "tool_call", "name": "look", "arguments": "canary"},
            {"type": "tool_call_response", "id": "c1", "response": "It is canary."},
            {"type": "tool_call_response", "id": "c2", "response": "{\"password\":\"canary\",\"seen\":1}"},
            {"type": "text", "content": "Said by a person: seen"},
        ])
        .to_string();
        let text = redacted(&["password"], &parts);
        assert!(!text.contains("canary") && text.matches("seen").count() == 2, "{text}");
    }

    #[test]
    fn what_cannot_be_looked_through_is_left_out_where_there_are_rules() {
        assert_eq!(redacted(&["password"], "password=canary"), "[redacted: 15 bytes that are not JSON]");
        assert_eq!(redacted(&[], "as it is"), "as it is");
    }

    #[test]
    fn a_span_carries_only_so_much() {
        let text = redacted(&[], &"ä".repeat(TRACED_BYTES_MAX));
        assert!(text.len() <= TRACED_BYTES_MAX + " [cut]".len() && text.ends_with(" [cut]"));
    }

    #[test]
    fn a_rule_that_means_nothing_is_refused() {
        assert!(Redaction::of(&["/a~2".into()]).is_err());
        assert!(Redaction::of(&[String::new()]).is_err());
    }
}
