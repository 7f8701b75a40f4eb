//! The callers' keys, as the gateway's section has them: they open what other services serve over plain HTTP too.

use holdfast_config::{ConfigError, Document, Secret};
use serde::Deserialize;

use super::{Identity, Key, Keys};
use crate::Role;

/// Of `[gateway]` only the keys; the gateway itself checks them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Gateway {
    keys: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    /// A reference; what it names may be kept from this process.
    key: String,
    tenant: String,
    role: Role,
}

/// Shorter keys could be guessed: the gateway refuses to start with one.
const KEY_BYTES_MIN: usize = 16;

/// The callers' keys: those that this process can read, and the names of the others, which open nothing here.
#[derive(Debug, Clone, Default)]
pub struct Callers {
    keys: Keys,
    unread: Vec<String>,
}

impl Callers {
    /// `None` where no keys are configured.
    ///
    /// # Errors
    /// The gateway's section is not one.
    pub fn read(document: &Document) -> Result<Option<Self>, ConfigError> {
        let Gateway { keys: entries } = document.section("gateway")?;
        if entries.is_empty() {
            return Ok(None);
        }
        let (mut keys, mut unread) = (Vec::new(), Vec::new());
        for entry in entries {
            match key(&entry) {
                Some(key) => keys.push(key),
                None => unread.push(entry.name),
            }
        }
        Ok(Some(Self { keys: Keys::new(keys), unread }))
    }

    /// The keys that open a path; the log is told which do not.
    pub fn keys(&self, path: &str) -> Keys {
        for key in &self.unread {
            tracing::warn!(
                key,
                path,
                "the key cannot be read by this process, or is not fit for one: it opens nothing here"
            );
        }
        self.keys.clone()
    }
}

fn key(entry: &Entry) -> Option<Key> {
    let secret = Secret::resolve(&entry.key).ok().filter(|secret| secret.reveal().len() >= KEY_BYTES_MIN)?;
    let identity = Identity { tenant: entry.tenant.clone(), role: entry.role, name: entry.name.clone() };
    (entry.role != Role::Mesh).then(|| Key::new(secret.reveal(), identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Keys> {
        let document = Document::parse("t.toml", text, []).expect("it is TOML");
        Callers::read(&document).expect("it holds").map(|callers| callers.keys("/mcp"))
    }

    fn entry(path: &std::path::Path, role: &str) -> String {
        let path = path.display();
        format!("[[gateway.keys]]\nname = \"a\"\nkey = \"file:{path}\"\ntenant = \"acme\"\nrole = \"{role}\"\n")
    }

    #[test]
    fn the_gateways_keys_are_the_keys() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("key");
        std::fs::write(&path, "0123456789abcdef").expect("it is written");
        let keys =
            read(&format!("[gateway]\npayload_max = \"2MiB\"\n{}", entry(&path, "operator"))).expect("there is one");
        let identity = keys.find("0123456789abcdef").expect("it is known");
        assert_eq!((identity.tenant.as_str(), identity.role), ("acme", Role::Operator));
        assert!(read("").is_none(), "nobody needs one");
        let mesh = read(&entry(&path, "mesh")).expect("one is configured");
        assert!(mesh.find("0123456789abcdef").is_none(), "nobody outside is the mesh");
    }

    #[test]
    fn a_key_that_cannot_be_read_here_opens_nothing_and_leaves_nothing_open() {
        let keys = read(&entry(std::path::Path::new("/nowhere/key"), "operator")).expect("one is configured");
        assert!(keys.are_open(), "none of them is known");
        assert!(keys.find("").is_none());
    }
}
