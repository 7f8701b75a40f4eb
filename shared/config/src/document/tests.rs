use serde::Deserialize;

use super::*;
use crate::Span;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    lease: Span,
    depth: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self { lease: Span::from_secs(10), depth: 7 }
    }
}

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Document, ConfigError> {
    Document::parse("t.toml", text, environment.iter().map(|(k, v)| ((*k).into(), (*v).into())))
}

#[test]
fn every_key_has_a_default() {
    let queue: Queue = parse("", &[]).expect("empty is fine").section("queue").expect("defaults");
    assert_eq!(queue, Queue::default());
}

#[test]
fn an_unknown_key_names_file_line_and_key() {
    let document = parse("[queue]\nlease = \"3s\"\nlaese = \"3s\"\n", &[]).expect("it is TOML");
    let error = document.section::<Queue>("queue").expect_err("no such key");
    assert!(error.to_string().starts_with("t.toml:3: queue.laese: unknown field"), "{error}");
}

#[test]
fn an_unknown_section_names_its_line() {
    let error = parse("\n[quue]\n", &[]).expect_err("no such section");
    assert!(error.to_string().starts_with("t.toml:2: quue: there is no such section"), "{error}");
}

#[test]
fn a_wrong_value_names_its_line() {
    let document = parse("[queue]\n\nlease = 3\n", &[]).expect("it is TOML");
    let error = document.section::<Queue>("queue").expect_err("a number has no unit");
    assert!(error.to_string().starts_with("t.toml:3: queue.lease: "), "{error}");
    assert!(error.to_string().contains("250ms"), "{error}");
}

#[test]
fn the_environment_overrides_the_file() {
    let environment = [("HOLDFAST_QUEUE__LEASE", "4s"), ("HOLDFAST_QUEUE__DEPTH", "9"), ("HOLDFAST_TEST_DATA", "x")];
    let document = parse("[queue]\nlease = \"3s\"\n", &environment).expect("it is TOML");
    let queue: Queue = document.section("queue").expect("both hold");
    assert_eq!(queue, Queue { lease: Span::from_secs(4), depth: 9 });
}

#[test]
fn a_wrong_override_names_the_variable() {
    let document = parse("", &[("HOLDFAST_QUEUE__DEPTH", "many")]).expect("it is TOML");
    let error = document.section::<Queue>("queue").expect_err("not a number");
    assert!(error.to_string().starts_with("HOLDFAST_QUEUE__DEPTH: queue.depth: "), "{error}");
}

#[test]
fn a_file_that_is_read_again_stands_under_the_environment_of_its_first_reading() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("holdfast.toml");
    fs::write(&path, "[queue]\nlease = \"3s\"\n").expect("it is written");
    let environment = [("HOLDFAST_QUEUE__DEPTH".to_owned(), "9".to_owned())];
    let document = Document::read(&path, environment).expect("it is TOML");
    fs::write(&path, "[queue]\nlease = \"4s\"\n").expect("it is written");
    let queue: Queue = document.reread().expect("it is TOML").section("queue").expect("both hold");
    assert_eq!(queue, Queue { lease: Span::from_secs(4), depth: 9 });
    fs::write(&path, "[quue]\n").expect("it is written");
    let error = document.reread().expect_err("no such section").to_string();
    assert!(error.contains(":1: quue: there is no such section"), "{error}");
}

#[test]
fn a_failed_check_is_found_in_the_file() {
    let document = parse("[tools.a]\n[tools.b]\nx = 1\n", &[]).expect("it is TOML");
    let error = document.locate(Invalid::new("tools.b.fallback", "is missing"));
    assert_eq!(error.to_string(), "t.toml:2: tools.b.fallback: is missing");
}
