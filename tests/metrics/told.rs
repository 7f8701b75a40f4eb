//! What dashboards and alerts ask for.

use std::{fs, path::Path};

use regex::Regex;
use serde_json::Value;

/// Labels that Prometheus gives by itself, or by deploy/prometheus/prometheus.yaml.
pub const GIVEN: [&str; 4] = ["le", "job", "instance", "service"];

/// Every question with whose it is.
pub fn questions(root: &Path) -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("it is there");
    let board: Value = serde_json::from_str(&read("deploy/grafana/holdfast.json")).expect("it is JSON");
    let panels = board["panels"].as_array().expect("it has panels");
    let of_board = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a panel has a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().expect("it asks").to_owned()))
    });
    let alert = Regex::new(r"- alert: (\w+)\s+expr: (.+)").expect("a pattern");
    let alerts = read("deploy/prometheus/alerts.yaml");
    let of_alerts = alert.captures_iter(&alerts).map(|found| (found[1].to_owned(), found[2].to_owned()));
    of_board.chain(of_alerts).collect()
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
