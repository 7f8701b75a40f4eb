//! What is different between two configurations.

use std::fmt;

use holdfast_config::Document;

use crate::config::{Config, Key, Provider};

/// Sections of others that this service reads at its start.
const SHARED: [&str; 8] = ["data", "database", "gateway", "mesh", "redis", "telemetry", "tenants", "tls"];

/// What became of a provider's keys, by their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeyChange {
    new: Vec<String>,
    removed: Vec<String>,
    /// Other limits.
    changed: Vec<String>,
    /// Other secrets.
    pub(super) renewed: Vec<String>,
    /// The same keys in another order.
    moved: bool,
}

impl KeyChange {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds =
            [("new", &self.new), ("removed", &self.removed), ("limits", &self.changed), ("secrets", &self.renewed)];
        let mut said = Vec::new();
        for (kind, names) in kinds.into_iter().filter(|(_, names)| !names.is_empty()) {
            said.push(format!("{kind}: {}", names.join(", ")));
        }
        if self.moved {
            said.push("their order".into());
        }
        f.write_str(&said.join("; "))
    }
}

/// How the keys of a provider differ.
pub(super) fn of_keys(old: &[Key], new: &[Key]) -> KeyChange {
    let names = |keys: &[Key]| keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
    let missing = |keys: &[Key], among: &[Key]| -> Vec<String> {
        names(keys).into_iter().filter(|name| !among.iter().any(|key| key.name == *name)).collect()
    };
    let mut change = KeyChange { new: missing(new, old), removed: missing(old, new), ..KeyChange::default() };
    for key in new {
        let Some(before) = old.iter().find(|before| before.name == key.name) else { continue };
        if (before.limits(), &before.models) != (key.limits(), &key.models) {
            change.changed.push(key.name.clone());
        }
        if before.key != key.key {
            change.renewed.push(key.name.clone());
        }
    }
    change.moved = change.new.is_empty() && change.removed.is_empty() && names(old) != names(new);
    change
}

/// What cannot be taken over by a running process, by its place in the configuration.
pub(super) fn for_a_restart(old: &Config, new: &Config, before: &Document, after: &Document) -> Vec<String> {
    let without_keys = |provider: &Provider| Provider { keys: Vec::new(), ..provider.clone() };
    let mut changed = Vec::new();
    if old.llm_proxy != new.llm_proxy {
        changed.push("llm_proxy".to_owned());
    }
    let providers = old.providers.keys().chain(new.providers.keys().filter(|name| !old.providers.contains_key(*name)));
    for name in providers {
        if old.providers.get(name).map(without_keys) != new.providers.get(name).map(without_keys) {
            changed.push(format!("providers.{name}"));
        }
    }
    let models = old.models.keys().chain(new.models.keys().filter(|name| !old.models.contains_key(*name)));
    for name in models {
        if old.models.get(name) != new.models.get(name) {
            changed.push(format!("models.{name}"));
        }
    }
    let differs = |section: &&&str| !before.is_alike(after, section);
    changed.extend(SHARED.iter().filter(differs).map(|section| (*section).to_owned()));
    changed
}

#[cfg(test)]
mod tests {
    use holdfast_rpc::service::Settings as _;

    use super::*;

    const BASE: &str = "[providers.p]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
        keys = [{ name = \"a\", concurrency = 2 }, { name = \"b\" }]\n\
        [models.m]\ndeployments = [{ provider = \"p\", model = \"x\" }]\n";

    fn read(text: &str) -> (Config, Document) {
        let document = Document::parse("t.toml", text, []).expect("it is TOML");
        (Config::from_document(&document).expect("it holds"), document)
    }

    fn keys(old: &str, new: &str) -> String {
        let of = |list: &str| read(&BASE.replace("{ name = \"a\", concurrency = 2 }, { name = \"b\" }", list)).0;
        of_keys(&of(old).providers["p"].keys, &of(new).providers["p"].keys).to_string()
    }

    #[test]
    fn keys_are_told_apart_by_their_names() {
        let a = "{ name = \"a\", concurrency = 2 }";
        assert_eq!(keys(a, a), "");
        assert_eq!(keys(a, "{ name = \"a\", concurrency = 3 }"), "limits: a");
        assert_eq!(keys(a, "{ name = \"b\" }"), "new: b; removed: a");
        assert_eq!(keys(a, "{ name = \"a\", concurrency = 2, key = \"env:PATH\" }"), "secrets: a");
        assert_eq!(keys("{ name = \"a\" }, { name = \"b\" }", "{ name = \"b\" }, { name = \"a\" }"), "their order");
    }

    #[test]
    fn what_waits_for_a_restart_is_named_and_keys_do_not() {
        let (old, before) = read(BASE);
        for (text, waiting) in [
            (BASE.replace("concurrency = 2", "concurrency = 3"), ""),
            (BASE.replace("model = \"x\"", "model = \"y\""), "models.m"),
            (BASE.replace("kind = ", "timeout = \"9s\"\nkind = "), "providers.p"),
            (
                format!("[llm_proxy]\nwait_max = \"9s\"\n{BASE}[redis]\nurl = \"redis://127.0.0.1:1\"\n"),
                "llm_proxy, redis",
            ),
            (
                format!(
                    "{BASE}[[gateway.keys]]\nname = \"n\"\nkey = \"env:PATH\"\ntenant = \"t\"\nrole = \"worker\"\n"
                ),
                "gateway",
            ),
            (format!("{BASE}[models.n]\ndeployments = [{{ provider = \"p\", model = \"x\" }}]\n"), "models.n"),
        ] {
            let (new, after) = read(&text);
            assert_eq!(for_a_restart(&old, &new, &before, &after).join(", "), waiting, "{text}");
        }
    }
}
