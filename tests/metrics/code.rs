//! The metrics in the sources: where each is described, and with which labels it is used.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use super::process;

static DESCRIBED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"describe_(counter|gauge|histogram)!\(\s*("[^"]+"|[A-Z_]+)\s*,\s*(?:metrics::)?Unit::(\w+)\s*,\s*"((?:[^"\\]|\\[\s\S])*)""#,
    )
});
/// A name wherever it stands, but for where it is described.
static USED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?:(?:^|[^_\w])(?:counter|gauge|histogram)!\(\s*|\bnew\(\s*)("holdfast_[^"]+"|[A-Z_]+)"#)
});
static LABEL: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^\s*,\s*"\w+"\s*=>"#));
static LABELS: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?:\(|[\s,])"(\w+)"\s*(?:=>|,\s*[\w.&:()]+\))"#));
static CONSTANT: LazyLock<Regex> = LazyLock::new(|| pattern(r#"const ([A-Z_]+): &str = "([^"]+)";"#));
static CONTINUED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\\n\s*"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// A metric as it is described.
#[derive(Debug)]
pub struct Described {
    pub kind: String,
    pub unit: String,
    pub help: String,
    /// The crates that have it.
    pub of: BTreeSet<String>,
}

/// All metrics of the workspace.
#[derive(Debug, Default)]
pub struct Metrics {
    pub described: BTreeMap<String, Described>,
    /// With its labels: all of them, and maybe more.
    pub used: BTreeMap<String, BTreeSet<String>>,
}

impl Metrics {
    /// Reads them out of the sources.
    pub fn read(root: &Path) -> Self {
        let mut metrics = Self::default();
        for folder in ["services", "shared"] {
            for file in sources(&root.join(folder)) {
                let text = fs::read_to_string(&file).expect("a source can be read");
                if !text.contains("metrics") && !text.contains("holdfast_") {
                    continue;
                }
                let of = file.strip_prefix(root.join(folder)).expect("it is inside").iter().next();
                metrics.take(&of.expect("a crate has a folder").to_string_lossy(), &text);
            }
        }
        for (name, described) in process::described() {
            metrics.used.insert(name.clone(), BTreeSet::new());
            metrics.described.insert(name, described);
        }
        metrics
    }

    /// The labels of a metric by the name in which Prometheus knows it.
    pub fn find(&self, name: &str) -> Option<&BTreeSet<String>> {
        let parts = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let histogram = parts.filter(|name| self.described.get(*name).is_some_and(|metric| metric.kind == "histogram"));
        self.used.get(histogram.unwrap_or(name))
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut table = "# Metrics\n\nEach service shows its own on `/metrics`, and pushes the same over OTLP where \
             `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector. Made from the code; a test holds it to that.\n\n\
             | metric | kind | unit | what | of |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
        for (name, Described { kind, unit, help, of }) in &self.described {
            let joined = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let help = help.replace('|', "\\|");
            writeln!(table, "| `{name}` | {kind} | {unit} | {help} | {} |", joined(of)).expect("memory takes it");
        }
        table
    }

    fn take(&mut self, of: &str, text: &str) {
        let constants = constants(text);
        let name = |written: &str| match written.strip_prefix('"') {
            Some(literal) => Some(literal.trim_end_matches('"').to_owned()),
            None => constants.get(written).cloned(),
        };
        for found in DESCRIBED.captures_iter(text) {
            // Tests make up others.
            let Some(name) = name(&found[2]).filter(|name| name.starts_with("holdfast_")) else { continue };
            let (kind, unit, help) = (found[1].to_owned(), unit(&found[3]), joined_lines(&found[4]));
            let metric =
                self.described.entry(name).or_insert_with(|| Described { kind, unit, help, of: BTreeSet::new() });
            metric.of.insert(of.to_owned());
        }
        for found in USED.captures_iter(text) {
            let Some(name) = name(&found[1]).filter(|name| name.starts_with("holdfast_")) else { continue };
            let labels = self.used.entry(name).or_default();
            let rest = &text[found.get(0).expect("the whole").end()..];
            // Beside the name; or, where they are put together elsewhere in the file, any of the file.
            let beside = LABEL.captures(rest).map(|_| rest.split_once(';').map_or(rest, |(beside, _)| beside));
            let found = LABELS.captures_iter(beside.unwrap_or(text)).map(|label| label[1].to_owned());
            let found = found.filter(|label| !label.starts_with("holdfast_"));
            labels.extend(found.filter(|_| rest.trim_start().starts_with(',')));
        }
    }
}

/// The sources below a folder.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn constants(text: &str) -> BTreeMap<String, String> {
    CONSTANT.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

/// A literal that goes on over several lines.
fn joined_lines(text: &str) -> String {
    CONTINUED.replace_all(text, "").into_owned()
}

pub fn unit(name: &str) -> String {
    match name {
        "CountPerSecond" => "per second".to_owned(),
        name => name.to_lowercase(),
    }
}
