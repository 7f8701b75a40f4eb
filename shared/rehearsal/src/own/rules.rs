//! How the simulated model works with an agent's tools: it calls each of them once, then answers.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use toml::Value;

use super::arguments::fitting;

/// Tools with the schemas of their arguments.
pub(super) type Schemas = BTreeMap<String, Json>;

/// What a model says that has nothing more to ask.
const ANSWER: &str = "This is a simulated model. It has asked every tool that it was offered.";

/// Rules for agents with these tools. Those with the most tools come first: a rule holds wherever its tools are offered.
pub(super) fn calling(mut agents: Vec<Vec<String>>, schemas: &Schemas) -> Value {
    agents.retain(|tools| !tools.is_empty());
    agents.sort_by_key(|tools| Reverse(tools.len()));
    let rules = agents.iter().flat_map(|tools| {
        let call = |tool: &String| json!({"tool": tool, "arguments": fitting(&schemas[tool])});
        let calls: Vec<_> = tools.iter().map(call).collect();
        [
            json!({"name": "ask every tool once", "when": {"offers": tools, "unanswered": tools}, "calls": calls}),
            json!({"name": "answer", "when": {"offers": tools}, "text": ANSWER}),
        ]
    });
    // What fits a schema may be nothing, which TOML has no word for.
    Value::Array(rules.filter_map(|rule| Value::try_from(without_nulls(rule)).ok()).collect())
}

fn without_nulls(value: Json) -> Json {
    match value {
        Json::Null => Json::String(String::new()),
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        Json::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Json::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        other => other,
    }
}
