//! What dashboards and alerts ask for.

use std::{collections::BTreeSet, fs, path::Path};

use regex::Regex;
use serde_json::Value;

/// Labels that Prometheus gives by itself, or by deploy/prometheus/prometheus.yaml.
pub const GIVEN: [&str; 4] = ["le", "job", "instance", "service"];

/// What a dashboard or an alert asks.
pub struct Question {
    /// A panel, or an alert.
    pub whose: String,
    pub asks: String,
    /// What is written beside the answer.
    pub beside: String,
}

/// Every question.
pub fn questions(root: &Path) -> Vec<Question> {
    let board: Value = serde_json::from_str(&read(root, "grafana/holdfast.json")).expect("it is JSON");
    let panels = board["panels"].as_array().expect("it has panels");
    let of_board = panels.iter().flat_map(|panel| {
        let whose = panel["title"].as_str().expect("a panel has a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| {
            let text = |name: &str| target[name].as_str().unwrap_or_else(|| panic!("{whose} has {name}")).to_owned();
            Question { whose: whose.clone(), asks: text("expr"), beside: text("legendFormat") }
        })
    });
    of_board.chain(alerts(root)).collect()
}

/// The alerts, each with all that is said of it.
pub fn alerts(root: &Path) -> Vec<Question> {
    let parts = Regex::new(
        r#"^ (\w+)\n +expr: (.+)\n(?: +for: \w+\n)? +labels: \{ severity: (?:page|warn) \}\n +annotations:\n( +summary: "[^"]+"\n +do: "[^"]+"\n)"#,
    )
    .expect("a pattern");
    let alerts = read(root, "prometheus/alerts.yaml");
    let question = |text: &str| {
        let found = parts.captures(text).unwrap_or_else(|| panic!("it has all that an alert has: {text}"));
        Question { whose: found[1].to_owned(), asks: found[2].to_owned(), beside: found[3].to_owned() }
    };
    alerts.split("- alert:").skip(1).map(question).collect()
}

/// A file of deploy/.
pub fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join("deploy").join(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

/// The metrics of ours that a question names.
pub fn names(question: &str) -> Vec<String> {
    let name = Regex::new(r"\b(?:holdfast|process)_\w+").expect("a pattern");
    name.find_iter(question).map(|found| found.as_str().to_owned()).collect()
}

/// The labels that it names.
pub fn labels(question: &str) -> impl Iterator<Item = String> {
    let by = Regex::new(r"by \(([^)]*)\)").expect("a pattern");
    let of = Regex::new(r#"(\w+)\s*=~?\s*""#).expect("a pattern");
    let grouped = by.captures_iter(question).flat_map(|found| {
        found[1].split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect::<Vec<_>>()
    });
    let chosen = of.captures_iter(question).map(|found| found[1].to_owned());
    grouped.chain(chosen).collect::<Vec<_>>().into_iter()
}

/// The labels whose values are written beside an answer.
pub fn shown(beside: &str) -> BTreeSet<String> {
    let label = Regex::new(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}").expect("a pattern");
    label.captures_iter(beside).map(|found| found[1].to_owned()).collect()
}

/// What a question sums up, and by which labels if by any.
pub fn grouped(question: &str) -> Option<BTreeSet<String>> {
    let sums = Regex::new(r"\b(?:sum|min|max|avg|count)\b\s*(?:by \(([^)]*)\))?").expect("a pattern");
    let mut groups = sums.captures_iter(question).map(|found| found.get(1).map_or("", |by| by.as_str()));
    let split =
        |by: &str| by.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect();
    groups.next().map(split)
}

/// The values that it asks for: of which metric, which label, whether it is a pattern, and the value.
pub fn values(question: &str) -> Vec<(String, String, bool, String)> {
    let chosen = Regex::new(r"\b((?:holdfast|process)_\w+)\{([^}]*)\}").expect("a pattern");
    let value = Regex::new(r#"(\w+)\s*(=~?)\s*"([^"]*)""#).expect("a pattern");
    let of = |found: regex::Captures<'_>| {
        let name = found[1].to_owned();
        let values = value.captures_iter(found.get(2).expect("it is there").as_str());
        values.map(|by| (name.clone(), by[1].to_owned(), &by[2] == "=~", by[3].to_owned())).collect::<Vec<_>>()
    };
    chosen.captures_iter(question).flat_map(of).collect()
}

/// The metrics of which it asks how fast they rise.
pub fn rising(question: &str) -> Vec<String> {
    let rate = Regex::new(r"\b(?:rate|irate|increase)\((\w+)").expect("a pattern");
    rate.captures_iter(question).map(|found| found[1].to_owned()).collect()
}
