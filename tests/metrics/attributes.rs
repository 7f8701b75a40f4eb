//! The attributes of spans that the collector's settings ask for, and those in the sources.

use std::{collections::BTreeSet, fs, path::Path};

use regex::Regex;

use super::code;

/// The attributes by which the collector decides which traces it keeps.
pub fn asked(root: &Path) -> BTreeSet<String> {
    let settings = fs::read_to_string(root.join("deploy/collector/collector.yaml")).expect("it is there");
    let by = Regex::new(r#"attributes\["([^"]+)"\]|\bkey: ([\w.]+)"#).expect("a pattern");
    let name = |found: regex::Captures<'_>| found.get(1).or(found.get(2)).map(|name| name.as_str().to_owned());
    by.captures_iter(&settings).filter_map(name).collect()
}

/// The fields of all spans in the sources, as they are declared or told by hand.
pub fn told(root: &Path) -> BTreeSet<String> {
    let field = Regex::new(r#"(?m)^\s*((?:\w+\.)+\w+) = |\("((?:\w+\.)+\w+)", "#).expect("a pattern");
    let mut told = BTreeSet::new();
    for folder in ["services", "shared"] {
        for file in code::sources(&root.join(folder)) {
            if !file.components().any(|part| part.as_os_str() == "src") {
                continue;
            }
            let text = fs::read_to_string(&file).expect("a source can be read").replace("r#", "");
            let name = |found: regex::Captures<'_>| found.get(1).or(found.get(2)).map(|name| name.as_str().to_owned());
            told.extend(field.captures_iter(&text).filter_map(name));
        }
    }
    told
}
