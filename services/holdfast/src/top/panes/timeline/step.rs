//! A recorded step. The agent pool's are told in words; of any other the result is shown as it is.

use holdfast_proto::state::v1::Record;
use holdfast_rpc::time;
use serde_json::Value;

use super::super::super::table::Tone;
use super::Entry;

/// Tokens that an attempt used and no step took along stand among the steps.
const UNRECORDED: &str = "~unrecorded.";

pub(super) fn entry(record: &Record) -> Entry {
    let key = record.address.as_ref().map(|address| address.key.clone()).unwrap_or_default();
    let data = record.value.as_ref().map(|value| &value.data[..]).unwrap_or_default();
    let document: Option<Value> = serde_json::from_slice(data).ok();
    let result = document.as_ref().map_or(&Value::Null, |document| &document["result"]);
    let written = record.writer.as_ref().and_then(|writer| writer.time.as_ref());
    Entry {
        at: written.and_then(time::micros),
        what: name(&key),
        tone: Tone::Plain,
        detail: said(result),
        tokens: document.as_ref().and_then(tokens),
        content: match &document {
            Some(document) => format!("{document:#}"),
            None => String::from_utf8_lossy(data).into_owned(),
        },
        id: format!("step {key}"),
    }
}

/// `000002` is the second answer of the model, `000002.tools` what its tools said.
fn name(key: &str) -> String {
    if key.starts_with(UNRECORDED) {
        return "tokens".to_owned();
    }
    let (number, part) = key.split_once('.').unwrap_or((key, ""));
    match (number.parse::<u32>(), part) {
        (Ok(number), "") => format!("step {number}"),
        (Ok(number), part) => format!("step {number} {part}"),
        (Err(_), _) => format!("step {key}"),
    }
}

fn said(result: &Value) -> String {
    if let (Some(calls), Some(text)) = (result["calls"].as_array(), result["text"].as_str()) {
        let named = calls.iter().filter_map(|call| call["tool"].as_str()).collect::<Vec<_>>().join(", ");
        let by = result["deployment"].as_str().unwrap_or_default();
        return if named.is_empty() { format!("{by}: {text}") } else { format!("{by} calls {named}") };
    }
    if let Some(answers) = result["answers"].as_array() {
        let one = |answer: &Value| {
            format!(
                "{}: {}",
                answer["tool"].as_str().unwrap_or_default(),
                answer["content"].as_str().unwrap_or_default()
            )
        };
        return answers.iter().map(one).collect::<Vec<_>>().join("; ");
    }
    match result {
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn tokens(document: &Value) -> Option<u64> {
    let usage = &document["usage"];
    let sum = usage["input_tokens"].as_u64()? + usage["output_tokens"].as_u64()?;
    (sum > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_told_in_words_and_what_is_not_the_pools_as_it_is() {
        let model = json!({"text": "", "calls": [{"tool": "a"}, {"tool": "b"}], "deployment": "p/m"});
        assert_eq!(said(&model), "p/m calls a, b");
        assert_eq!(said(&json!({"text": "Done.", "calls": [], "deployment": "p/m"})), "p/m: Done.");
        assert_eq!(said(&json!({"answers": [{"tool": "a", "content": "42"}]})), "a: 42");
        assert_eq!(said(&json!({"echo": 1})), r#"{"echo":1}"#);
        let names = ["000002", "000002.tools", "send mail", "~unrecorded.00000000000000000007"].map(name);
        assert_eq!(names, ["step 2", "step 2 tools", "step send mail", "tokens"]);
    }

    #[test]
    fn a_step_counts_what_it_used() {
        assert_eq!(tokens(&json!({"usage": {"input_tokens": 5, "output_tokens": 2}})), Some(7));
        assert_eq!(
            (tokens(&json!({"usage": {"input_tokens": 0, "output_tokens": 0}})), tokens(&json!(1))),
            (None, None)
        );
    }
}
