//! A tool's answer, or what stands in for it, as an MCP client gets it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, MetaObject, ResourceContents};
use serde_json::{Value, json};

use crate::domain::{Answer, JSON, Outcome, Reply};

/// The keys in `_meta` that say where an answer comes from.
const OUTCOME: &str = "holdfast/outcome";
const REASON: &str = "holdfast/reason";
const AGE: &str = "holdfast/ageMs";
const REPLAYED: &str = "holdfast/replayed";
const TIMING: &str = "holdfast/timing";

/// The result of a call.
pub(super) fn of(tool: &str, reply: &Reply) -> CallToolResult {
    let answer = &reply.answer;
    let (mut content, structured) = content(tool, answer);
    content.extend(notice(answer).map(ContentBlock::text));
    let mut result = CallToolResult::success(content);
    result.structured_content = structured;
    result.is_error = Some(matches!(answer.outcome, Outcome::ToolError | Outcome::Unavailable | Outcome::Unknown));
    result.meta = Some(meta(reply));
    result
}

fn meta(reply: &Reply) -> MetaObject {
    let answer = &reply.answer;
    let mut meta = MetaObject::new();
    meta.insert(OUTCOME.into(), answer.outcome.name().into());
    meta.insert(REPLAYED.into(), reply.replayed.into());
    if !answer.reason.is_empty() {
        meta.insert(REASON.into(), answer.reason.as_str().into());
    }
    if let Some(age) = answer.age {
        meta.insert(AGE.into(), json!(age.as_millis() as u64));
    }
    let (waited, called) = (reply.timing.waited, reply.timing.called);
    let timing = json!({
        "waitedMs": waited.as_secs_f64() * 1e3,
        "calledMs": called.as_secs_f64() * 1e3,
        "attempts": reply.timing.attempts,
    });
    meta.insert(TIMING.into(), timing);
    meta
}

/// JSON as text, and an object as structured content too; text as text; anything else by its type.
fn content(tool: &str, answer: &Answer) -> (Vec<ContentBlock>, Option<Value>) {
    let essence = answer.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = std::str::from_utf8(&answer.content).ok();
    let block = match (essence.split('/').next(), text) {
        (Some("image"), _) => ContentBlock::image(STANDARD.encode(&answer.content), essence),
        (Some("audio"), _) => ContentBlock::audio(STANDARD.encode(&answer.content), essence),
        (_, Some(text)) => {
            let is_json = essence == JSON || essence.ends_with("+json");
            return match is_json.then(|| serde_json::from_str(text).ok()).flatten() {
                Some(Value::Array(list)) => (blocks(list).unwrap_or_else(|| vec![ContentBlock::text(text)]), None),
                value => (vec![ContentBlock::text(text)], value.filter(Value::is_object)),
            };
        }
        _ => ContentBlock::resource(ResourceContents::BlobResourceContents {
            uri: format!("holdfast:tool/{tool}"),
            mime_type: Some(essence).filter(|essence| !essence.is_empty()),
            blob: STANDARD.encode(&answer.content),
            meta: None,
        }),
    };
    (vec![block], None)
}

/// What an MCP server answered with more than one text comes as the list of its blocks, and goes on as those.
fn blocks(list: Vec<Value>) -> Option<Vec<ContentBlock>> {
    if list.is_empty() {
        return None;
    }
    list.into_iter().map(|block| serde_json::from_value(block).ok()).collect()
}

/// What the model must know of an answer that is not the tool's own: few clients show it `_meta`.
fn notice(answer: &Answer) -> Option<String> {
    match (answer.outcome, answer.age) {
        (Outcome::Cached, Some(age)) => Some(format!(
            "Note: the tool does not answer now ({}). This is its last good answer, {} s old.",
            answer.reason,
            age.as_secs()
        )),
        (Outcome::Cached | Outcome::Degraded, _) => {
            Some(format!("Note: the tool does not answer now ({}). This stands in for its answer.", answer.reason))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::domain::Timing;

    fn reply(outcome: Outcome, content_type: &str, content: &'static [u8]) -> Reply {
        let answer = Answer {
            outcome,
            content: Bytes::from_static(content),
            content_type: content_type.into(),
            reason: String::new(),
            age: None,
            stand_in: None,
        };
        let timing = Timing { waited: Duration::from_millis(2), called: Duration::from_millis(30), attempts: 2 };
        Reply { answer, timing, replayed: false }
    }

    fn told(reply: &Reply) -> Value {
        serde_json::to_value(of("find", reply)).expect("plain data")
    }

    #[test]
    fn an_object_is_text_and_structure_and_a_list_is_text() {
        let object = told(&reply(Outcome::Real, "application/json; charset=utf-8", br#"{"a":1}"#));
        assert_eq!(
            (&object["content"][0]["text"], &object["structuredContent"]),
            (&json!(r#"{"a":1}"#), &json!({"a": 1}))
        );
        assert_eq!(object["isError"], json!(false));
        let list = told(&reply(Outcome::Real, JSON, b"[1]"));
        assert_eq!((&list["content"][0]["text"], &list["structuredContent"]), (&json!("[1]"), &Value::Null));
    }

    #[test]
    fn an_answer_says_where_it_comes_from() {
        let mut cached = reply(Outcome::Cached, JSON, b"{}");
        cached.answer.age = Some(Duration::from_millis(42_500));
        cached.answer.reason = "CIRCUIT_OPEN".into();
        let told = told(&cached);
        assert_eq!((&told["isError"], &told["_meta"]["holdfast/outcome"]), (&json!(false), &json!("cached")));
        assert_eq!(told["_meta"]["holdfast/ageMs"], json!(42_500));
        assert_eq!(told["_meta"]["holdfast/timing"], json!({"waitedMs": 2.0, "calledMs": 30.0, "attempts": 2}));
        let note = told["content"][1]["text"].as_str().expect("the model is told");
        assert!(note.contains("CIRCUIT_OPEN") && note.contains("42 s old"), "{note}");
    }

    #[test]
    fn what_the_tool_did_not_do_is_an_error() {
        for outcome in [Outcome::ToolError, Outcome::Unavailable, Outcome::Unknown] {
            assert_eq!(told(&reply(outcome, JSON, b"{}"))["isError"], json!(true), "{outcome:?}");
        }
        assert_eq!(told(&reply(Outcome::Degraded, JSON, b"{}"))["isError"], json!(false));
    }

    #[test]
    fn blocks_of_an_mcp_server_arrive_as_they_were() {
        let list = br#"[{"type":"text","text":"a cat"},{"type":"image","data":"iVA=","mimeType":"image/png"}]"#;
        let told = told(&reply(Outcome::Real, JSON, list));
        assert_eq!(
            (&told["content"][0]["text"], &told["content"][1]["mimeType"]),
            (&json!("a cat"), &json!("image/png"))
        );
        assert_eq!(told["structuredContent"], Value::Null);
    }

    #[test]
    fn content_of_any_type_arrives() {
        let image = told(&reply(Outcome::Real, "image/png", b"\x89P"));
        assert_eq!((&image["content"][0]["type"], &image["content"][0]["data"]), (&json!("image"), &json!("iVA=")));
        let blob = told(&reply(Outcome::Real, "application/zip", b"\xff"));
        assert_eq!(
            (&blob["content"][0]["type"], &blob["content"][0]["resource"]["blob"]),
            (&json!("resource"), &json!("/w=="))
        );
        let text = told(&reply(Outcome::Real, "text/plain", b"hello"));
        assert_eq!(text["content"], json!([{"type": "text", "text": "hello"}]));
    }
}
