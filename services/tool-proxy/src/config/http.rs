//! What only a tool has that is asked over HTTP. An error names the key and why.

use holdfast_config::Secret;
use serde::Deserialize;

use super::{Method, Tool};
use crate::domain::{Effect, Reading, Statuses};
use crate::schema::Schema;
use crate::upstream::{Form, is_content_type};

type Wrong = (String, String);

/// `[tools.NAME.basic]`: sent as `Authorization: Basic …`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Who calls.
    pub user: String,
    /// By secret reference.
    pub password: Secret,
}

/// `[tools.NAME.failures]`: which answers are none.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Failures {
    /// With such a status the tool failed: retried where that is allowed, else the fallback answers.
    pub statuses: Vec<Statuses>,
    /// Of these, what tells nothing of the tool's health and does not count at its breaker.
    pub healthy: Vec<Statuses>,
}

impl Default for Failures {
    fn default() -> Self {
        let statuses = [Statuses::Hundred(3), Statuses::One(408), Statuses::One(429), Statuses::Hundred(5)];
        Self { statuses: statuses.into(), healthy: Vec::new() }
    }
}

impl Tool {
    /// How its statuses are read.
    pub(crate) fn reading(&self) -> Reading {
        let Failures { statuses, healthy } = self.failures.clone();
        Reading { failures: statuses, errors: self.errors.clone(), healthy, effect: self.effect }
    }

    /// Checks how it is asked, and what is taken for its answer.
    pub(super) fn asked(&self, schema: &Schema) -> Result<(), Wrong> {
        let wrong = |key: &str, why: String| Err((key.to_owned(), why));
        Form::of(self)?.check(&schema.declared())?;
        if self.idle_timeout.is_some_and(|span| span.is_zero()) {
            return wrong("idle_timeout", "must be longer than nothing".into());
        }
        if let Some(statuses) = self.reading().contradiction() {
            let why = format!("\"{statuses}\" is among the errors too: take it out of one of them");
            return wrong("failures.statuses", why);
        }
        if let Some(text) = self.content_types.iter().find(|text| !is_content_type(text)) {
            return wrong("content_types", format!("{text:?} is no type: write \"application/json\" or \"text/*\""));
        }
        if self.redirects > 0 && (self.effect != Effect::ReadOnly || self.method != Method::Get) {
            let why =
                "are for a read_only tool with method = \"GET\": what changes something is sent to one place only";
            return wrong("redirects", why.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use holdfast_config::Document;
    use holdfast_rpc::service::Settings as _;

    use super::super::Config;

    /// What is said of a tool with these lines; nothing where it holds.
    fn complaint(lines: &str) -> String {
        let text = format!(
            "[tools.t]\nfallback = [{{ kind = \"fixed\", answer = 1 }}]\n\
             schema = '{{\"properties\":{{\"id\":{{}},\"n\":{{}}}}}}'\n{lines}\n"
        );
        let document = Document::parse("t.toml", &text, []).expect("it is TOML");
        Config::from_document(&document).map_or_else(|error| error.to_string(), |_| String::new())
    }

    const URL: &str = "url = \"http://h/orders/{id}\"\n";
    const GET: &str = "url = \"http://h/orders/{id}\"\nmethod = \"GET\"\neffect = \"read_only\"\n";

    #[test]
    fn what_has_a_place_for_each_argument_is_taken() {
        for lines in [
            "",
            "body = '{\"count\": \"{n}\", \"by\": {\"id\": \"{id}\"}}'",
            "body = { count = \"{n}\", all = [\"{id}\", 1, true] }",
            "query = { n = \"{n}\", lang = \"en\", page = 1, many = [\"{id}\", \"x-{n}\"] }",
            "errors = [\"4xx\", \"500\"]\nfailures = { statuses = [\"429\", \"5xx\"], healthy = [\"429\"] }",
            "content_types = [\"application/json\", \"text/*\"]\nidle_timeout = \"1s\"",
        ] {
            assert_eq!(complaint(&format!("{URL}{lines}")), "", "{lines}");
        }
        assert_eq!(complaint(&format!("{GET}redirects = 2\nquery = {{ count = \"{{n}}\" }}")), "");
        assert_eq!(complaint("url = \"simulator:/tools/{id}/{n}\""), "");
    }

    #[test]
    fn an_error_names_the_key_and_the_placeholder() {
        let cases = [
            ("url = \"http://h/{what}\"", "tools.t.url: {what} is no property of the tool's schema, which has: id, n"),
            ("url = \"http://h/{id\"", "tools.t.url: \"{id\" is no placeholder"),
            ("url = \"http://{id}/\"", "tools.t.url: "),
            ("url = \"http://h:{n}/\"", "tools.t.url: "),
            ("url = \"{id}://h/\"", "tools.t.url: "),
            ("url = \"http://h/?q={id}\"", "tools.t.url: \"?q={id}\" has a brace"),
            ("url = \"http://h/#{id}\"", "tools.t.url: \"#{id}\" has a brace"),
            ("url = \"http://h/%2{id}\"", "tools.t.url: \"%2{id}\" has a backslash or half an escape"),
            ("url = \"http://h/\"\nquery = { a = \"{b}\" }", "tools.t.query.a: {b} is no property"),
            ("url = \"http://h/\"\nquery = { a = \"{\" }", "tools.t.query.a: \"{\" is no placeholder"),
            ("url = \"http://h/\"\nquery = { a = { b = 1 } }", "tools.t.query.a: must be text"),
            ("url = \"http://h/\"\nbody = { a = [\"{b}\"] }", "tools.t.body: {b} is no property"),
            ("url = \"http://h/\"\nbody = \"{id\"", "tools.t.body: \"{id\" is no placeholder"),
            ("url = \"http://h/{id}\"\nbody = { }", "tools.t.body: has no place for the argument \"n\""),
        ];
        for (lines, expected) in cases {
            let told = complaint(lines);
            assert!(told.contains(expected), "{lines}: {told}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_key() {
        let cases = [
            (GET, "body = { id = \"{id}\", n = \"{n}\" }", "tools.t.body: is for POST"),
            (GET, "query = { n = 7 }", "tools.t.query: sets \"n\""),
            (URL, "redirects = 1", "tools.t.redirects: "),
            (URL, "idle_timeout = \"0s\"", "tools.t.idle_timeout: "),
            (URL, "content_types = [\"json\"]", "tools.t.content_types: \"json\" is no type"),
            (URL, "errors = [\"5xx\"]", "tools.t.failures.statuses: \"5xx\" is among the errors too"),
            (URL, "failures = { statuses = [\"50x\"] }", "tools.t.failures.statuses[0]: \"50x\" is no status"),
            (URL, "failures = { status = [] }", "tools.t.failures.status: unknown field"),
            (
                URL,
                "basic = { user = \"u\", password = \"plain\" }",
                "tools.t.basic.password: a secret is given by reference",
            ),
        ];
        for (first, lines, expected) in cases {
            let told = complaint(&format!("{first}{lines}"));
            assert!(told.contains(expected), "{lines}: {told}");
        }
    }
}
