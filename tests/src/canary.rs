//! Words that must not be found where they do not belong, and how they look when somebody has packed them.

mod gossip;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use regex::bytes::Regex;

pub use gossip::Gossip;

/// A word that stands nowhere else: letters and digits, for those no notation for text changes.
#[derive(Debug, Clone)]
pub struct Canary {
    /// What it is, for who reads of a find.
    pub what: &'static str,
    word: String,
    forms: Regex,
}

impl Canary {
    /// A new one.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self::of(what, &format!("Canary{:032x}", rand::random::<u128>()))
    }

    /// One that somebody else made.
    ///
    /// # Panics
    /// Never: its forms are a pattern.
    #[must_use]
    pub fn of(what: &'static str, word: &str) -> Self {
        let word = word.to_owned();
        let forms = Regex::new(&forms(&word).join("|")).expect("the forms are a pattern");
        Self { what, word, forms }
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

    /// What stands around its first find, in any of its forms.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<String> {
        const AROUND: usize = 200;
        let found = self.forms.find(bytes)?;
        let around = found.start().saturating_sub(AROUND)..(found.end() + AROUND).min(bytes.len());
        Some(format!("{}: …{}…", self.what, String::from_utf8_lossy(&bytes[around])))
    }

    /// The files below a directory in which it is found; not those of these names.
    ///
    /// # Panics
    /// Where a file cannot be read.
    #[must_use]
    pub fn find_below(&self, directory: &Path, but: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![directory.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder can be read").flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                if but.iter().any(|one| name == *one) {
                    continue;
                }
                // Sockets and the like hold nothing, and some files are gone by now.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(path),
                    Ok(kind) if kind.is_file() => {
                        let find = fs::read(&path).ok().and_then(|bytes| self.find(&bytes));
                        found.extend(find.map(|find| format!("{}: {find}", path.display())));
                    }
                    _ => {}
                }
            }
        }
        found
    }
}

/// As it is, in capitals or small; in base64, wherever it stands in what was encoded; as numbers of its bytes in hex and in
/// lists, as percent-encoding, and as JSON's escapes.
fn forms(word: &str) -> Vec<String> {
    let each = |form: &dyn Fn(u8) -> String, between: &str| word.bytes().map(form).collect::<Vec<_>>().join(between);
    let mut forms = vec![
        format!("(?i:{})", regex::escape(word)),
        format!("(?i:{})", each(&|byte| format!("{byte:02x}"), "[ :,]?(?:0x|\\\\x)?")),
        format!("(?i:{})", each(&|byte| format!("%{byte:02x}"), "")),
        format!("(?i:{})", each(&|byte| format!("\\\\u00{byte:02x}"), "")),
        each(&|byte| byte.to_string(), ", ?"),
    ];
    for before in 0..3 {
        for engine in [STANDARD, URL_SAFE] {
            // What stands before it shares a character with its first, and what follows with its last.
            let encoded = engine.encode([vec![0; before], word.as_bytes().to_vec()].concat());
            let inside = encoded.trim_end_matches('=');
            let inside = &inside[[0, 2, 3][before]..inside.len() - 1];
            forms.push(regex::escape(inside));
        }
    }
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_every_form() {
        let canary = Canary::new("a secret");
        let word = canary.word().to_owned();
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
        for text in told {
            assert!(canary.find(text.as_bytes()).is_some(), "{text}");
        }
        assert!(canary.find(Canary::new("another").word().as_bytes()).is_none());
    }

    #[test]
    fn files_are_searched_to_the_last_folder() {
        let canary = Canary::new("a secret");
        let directory = tempfile::tempdir().expect("a folder");
        let deep = directory.path().join("a/b");
        fs::create_dir_all(&deep).expect("a folder");
        fs::write(deep.join("kept"), STANDARD.encode(canary.key())).expect("a file");
        fs::write(directory.path().join("known"), canary.word()).expect("a file");
        assert_eq!(canary.find_below(directory.path(), &["known"]).len(), 1);
        assert_eq!(canary.find_below(directory.path(), &["known", "b"]), Vec::<String>::new());
    }
}
