//! Words that must not be found where they do not belong, and how they look when somebody has packed them.

mod gossip;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

pub use gossip::Gossip;

/// A word that stands nowhere else: letters and digits, for those no notation for text changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Canary {
    /// What it is, for who reads of a find.
    pub what: &'static str,
    word: String,
}

impl Canary {
    /// A new one.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self::of(what, &format!("Canary{:032x}", rand::random::<u128>()))
    }

    /// One that somebody else made.
    #[must_use]
    pub fn of(what: &'static str, word: &str) -> Self {
        Self { what, word: word.to_owned() }
    }

    /// The word.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The word as a part of a longer one, with characters that are written otherwise in URLs, JSON and headers.
    #[must_use]
    pub fn key(&self) -> String {
        format!("sk/{}+~=", self.word)
    }
}

/// A file in which one was found, and what stands around it.
#[derive(Debug)]
pub struct Find {
    /// Which one.
    pub canary: Canary,
    /// Where.
    pub path: PathBuf,
    /// The text around it.
    pub around: String,
}

/// Looks for all of them at once in files, and in all files below folders. It is `grep` that looks: tests are not optimised,
/// and this is a lot.
///
/// # Panics
/// Where that cannot look.
#[must_use]
pub fn find(canaries: &[Canary], places: &[&Path]) -> Vec<Find> {
    let of = |canary: &Canary| {
        let canary = canary.clone();
        forms(&canary.word).into_iter().map(move |form| (form.to_lowercase(), canary.clone()))
    };
    let forms: BTreeMap<String, Canary> = canaries.iter().flat_map(of).collect();
    let patterns = tempfile::NamedTempFile::new().expect("the system's temporary directory can be written");
    fs::write(&patterns, forms.keys().map(|form| format!("{form}\n")).collect::<String>()).expect("a file");
    let mut grep = Command::new("grep");
    grep.env("LC_ALL", "C").args(["-r", "-a", "-b", "-o", "-i", "-F", "-Z", "-H", "-f"]).arg(patterns.path());
    let output = grep.args(places).output().expect("grep is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code < 2), "grep: {said}");
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (path, hit) = line.split_once('\0').expect("a name ends");
        let (offset, form) = hit.split_once(':').expect("an offset ends");
        let offset: usize = offset.parse().expect("an offset is a number");
        found.entry((path.to_owned(), forms[&form.to_lowercase()].clone())).or_insert(offset);
    }
    let find = |((path, canary), offset): ((String, Canary), usize)| {
        let path = PathBuf::from(path);
        Find { canary, around: around(&path, offset), path }
    };
    found.into_iter().map(find).collect()
}

fn around(path: &Path, offset: usize) -> String {
    const SO_FAR: usize = 200;
    let bytes = fs::read(path).unwrap_or_default();
    let around = offset.saturating_sub(SO_FAR).min(bytes.len())..(offset + SO_FAR).min(bytes.len());
    String::from_utf8_lossy(&bytes[around]).into_owned()
}

/// As it is; in base64, wherever it stands in what was encoded; as its bytes in hex and in lists of numbers, as
/// percent-encoding, and as JSON's escapes. Capitals count as small letters.
fn forms(word: &str) -> Vec<String> {
    let each = |form: &dyn Fn(u8) -> String, between: &str| word.bytes().map(form).collect::<Vec<_>>().join(between);
    let hex = |byte: u8| format!("{byte:02x}");
    let mut forms = vec![
        word.to_owned(),
        each(&hex, ""),
        each(&hex, " "),
        each(&hex, ":"),
        each(&|byte| format!("\\x{byte:02x}"), ""),
        each(&|byte| format!("%{byte:02x}"), ""),
        each(&|byte| format!("\\u00{byte:02x}"), ""),
        each(&|byte| byte.to_string(), ","),
        each(&|byte| byte.to_string(), ", "),
    ];
    for before in 0..3 {
        for engine in [STANDARD, URL_SAFE] {
            // What stands before it shares a character with its first, and what follows with its last.
            let encoded = engine.encode([vec![0; before], word.as_bytes().to_vec()].concat());
            let inside = encoded.trim_end_matches('=');
            forms.push(inside[[0, 2, 3][before]..inside.len() - 1].to_owned());
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_every_form() {
        let (canary, another) = (Canary::new("a secret"), Canary::new("another"));
        let word = canary.word();
        let bytes = word.as_bytes();
        let joined =
            |each: &dyn Fn(&u8) -> String, between: &str| bytes.iter().map(each).collect::<Vec<_>>().join(between);
        let mut told = vec![
            format!("key={word}&more"),
            word.to_uppercase(),
            format!("{bytes:?}"),
            serde_json::to_string(bytes).expect("JSON"),
            joined(&|byte| format!("{byte:02x}"), ""),
            joined(&|byte| format!("{byte:02X}"), ":"),
            joined(&|byte| format!("\\x{byte:02x}"), ""),
            joined(&|byte| format!("%{byte:02X}"), ""),
            joined(&|byte| format!("\\u{byte:04x}"), ""),
        ];
        for before in ["", "u", "us", "use", "Bearer "] {
            for after in ["", "s", "se", "sec"] {
                let text = format!("{before}{word}{after}");
                told.extend([STANDARD.encode(&text), URL_SAFE.encode(&text)]);
            }
        }
        let directory = tempfile::tempdir().expect("a folder");
        for (number, text) in told.iter().enumerate() {
            let folder = directory.path().join(number.to_string());
            fs::create_dir(&folder).expect("a folder");
            fs::write(folder.join("file"), format!("\0\u{ff}{text}\n{}", another.word())).expect("a file");
        }
        let found = find(std::slice::from_ref(&canary), &[directory.path()]);
        for (number, text) in told.iter().enumerate() {
            let here = directory.path().join(number.to_string());
            assert!(found.iter().any(|find| find.path.starts_with(&here) && find.canary == canary), "{text}");
        }
        assert_eq!(found.len(), told.len());
        assert_eq!(find(&[Canary::new("a third")], &[directory.path()]).len(), 0);
    }
}
