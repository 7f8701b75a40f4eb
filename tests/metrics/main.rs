//! What is told of the metrics, in tables, dashboards and alerts, is what the code has; and so are the attributes of spans by
//! which a collector keeps traces.

mod asked;
mod attributes;
mod code;
mod pipelines;
mod process;
mod told;

use std::{fs, path::PathBuf};

use code::Metrics;

/// The root of the workspace.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Set it to have the table written anew.
const UPDATE: &str = "HOLDFAST_UPDATE";

#[test]
fn every_metric_has_a_help_text_and_a_unit() {
    let metrics = Metrics::read(&root());
    let nameless: Vec<_> = metrics.used.keys().filter(|name| !metrics.described.contains_key(*name)).collect();
    assert!(nameless.is_empty(), "describe them beside those of their crate: {nameless:?}");
    let unused: Vec<_> = metrics.described.keys().filter(|name| !metrics.used.contains_key(*name)).collect();
    assert!(unused.is_empty(), "nothing counts them: {unused:?}");
    for (name, metric) in &metrics.described {
        assert!(!metric.unit.is_empty(), "{name} has no unit");
        assert!(metric.help.ends_with('.'), "{name}: its help is a sentence");
        let total = metric.kind == "counter";
        assert_eq!(name.ends_with("_total"), total, "{name}: counters, and only they, end in _total");
    }
    assert!(metrics.described.len() > 60, "they were found: {}", metrics.described.len());
}

/// What labels may tell apart: configured things, or callers' words of which only so many are told apart where they are
/// counted. Whoever adds one sees to its bound there.
const BOUNDED: [&str; 25] = [
    "agent",
    "backend",
    "budget",
    "circuit",
    "code",
    "deployment",
    "direction",
    "durability",
    "from",
    "key",
    "kind",
    "limit",
    "mark",
    "method",
    "model",
    "name",
    "outcome",
    "provider",
    "reason",
    "server",
    "state",
    "tenant",
    "to",
    "tool",
    "what",
];

#[test]
fn no_label_tells_apart_what_has_no_bound() {
    let metrics = Metrics::read(&root());
    for (name, labels) in &metrics.used {
        let strange: Vec<_> = labels.iter().filter(|label| !BOUNDED.contains(&label.as_str())).collect();
        assert!(strange.is_empty(), "{name} has the labels {strange:?}: are they bounded?");
    }
}

#[test]
fn the_table_is_what_the_code_has() {
    let (path, table) = (root().join("deploy/metrics.md"), Metrics::read(&root()).table());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &table).expect("the table can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "deploy/metrics.md is of another day: run this test with {UPDATE}=1 and look at the change"
    );
}

#[test]
fn the_collector_asks_for_attributes_that_there_are_and_for_every_fallback() {
    let (asked, told) = (attributes::asked(&root()), attributes::told(&root()));
    assert!(asked.len() > 3 && told.len() > 20, "they were found: {asked:?} {told:?}");
    let strange: Vec<_> = asked.difference(&told).collect();
    assert!(strange.is_empty(), "no span has {strange:?}");
    let fallbacks = told.iter().filter(|name| name.starts_with("holdfast.") && name.ends_with(".fallback"));
    let unasked: Vec<_> = fallbacks.filter(|name| !asked.contains(*name)).collect();
    assert!(unasked.is_empty(), "traces with {unasked:?} are not kept");
}
