//! What a server offers, as tools of the mesh.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::Url;
use rmcp::model::{Tool as Offered, ToolAnnotations};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::catalog::Tool;
use crate::circuits::Circuits;
use crate::config::{Mcp, ToolProxy, named_well};
use crate::domain::Effect;
use crate::schema::Schema;
use crate::upstream::{self, Link, Upstream};

/// A larger schema is nothing that a model could be shown.
const SCHEMA_BYTES_MAX: usize = 128 << 10;

/// Names that a server may have used since this process began. Metrics forget none of them, so one that makes up new names all
/// the time must come to an end.
const NAMES_MAX: usize = 1_000;

/// The tools of one server, as they were offered last.
#[derive(Debug)]
pub(super) struct Offers {
    server: String,
    prefix: String,
    config: Mcp,
    settings: ToolProxy,
    circuits: Arc<Circuits>,
    /// By the server's own names: what it said, and what became of it.
    known: BTreeMap<String, (Offered, Result<Arc<Tool>, String>)>,
    /// Names that are another tool's.
    taken: BTreeSet<String>,
    /// All that were ever made, by the server's own names.
    used: BTreeSet<String>,
    /// Whether it was told that there were too many.
    told_full: bool,
}

impl Offers {
    pub(super) fn new(name: &str, config: &Mcp, settings: ToolProxy, circuits: Arc<Circuits>) -> Self {
        Self {
            server: name.to_owned(),
            prefix: config.prefix(name),
            config: config.clone(),
            settings,
            circuits,
            known: BTreeMap::new(),
            taken: BTreeSet::new(),
            used: BTreeSet::new(),
            told_full: false,
        }
    }

    /// The tools of a list. One that has not changed since the last list is the same as before. A name beyond those that the
    /// server may have used is left out.
    pub(super) fn take(&mut self, listed: &[Offered], link: &watch::Sender<Link>) -> Vec<Arc<Tool>> {
        let mut before = std::mem::take(&mut self.known);
        for offered in listed {
            // A name that is not taken must not use up room.
            if !self.config.takes(&offered.name) || !self.has_room(&offered.name) {
                continue;
            }
            if self.known.contains_key(offered.name.as_ref()) {
                warn!(server = self.server, tool = %offered.name, "MCP server lists a tool twice: the first counts");
                continue;
            }
            let made = match before.remove(offered.name.as_ref()) {
                Some((old, made)) if old == *offered => made,
                old => self.make(offered, old.and_then(|(_, made)| made.ok()), link),
            };
            self.known.insert(offered.name.to_string(), (offered.clone(), made));
        }
        for gone in before.into_values().filter_map(|(_, made)| made.ok()) {
            info!(server = self.server, tool = gone.name, "MCP server has no such tool any more");
        }
        self.known.values().filter_map(|(_, made)| made.as_ref().ok()).map(Arc::clone).collect()
    }

    /// Whether there may be a tool of this name. That there are too many is said once.
    fn has_room(&mut self, name: &str) -> bool {
        if self.used.len() < NAMES_MAX || self.used.contains(name) {
            return true;
        }
        if !self.told_full {
            self.told_full = true;
            warn!(
                server = self.server,
                tool = name,
                NAMES_MAX,
                "MCP server has used too many names: its new tools are left out until this process is started again"
            );
        }
        false
    }

    /// Says which names are another tool's, once for each.
    pub(super) fn tell_taken(&mut self, taken: BTreeSet<String>) {
        for tool in taken.difference(&self.taken) {
            warn!(server = self.server, tool, "MCP server's tool is left out: another has its name; set a prefix");
        }
        self.taken = taken;
    }

    fn make(
        &mut self,
        offered: &Offered,
        old: Option<Arc<Tool>>,
        link: &watch::Sender<Link>,
    ) -> Result<Arc<Tool>, String> {
        let made = self.build(offered, old, link);
        match &made {
            Ok(_) => drop(self.used.insert(offered.name.to_string())),
            Err(why) => warn!(server = self.server, tool = %offered.name, why, "MCP server's tool is left out"),
        }
        made
    }

    fn build(
        &self,
        offered: &Offered,
        old: Option<Arc<Tool>>,
        link: &watch::Sender<Link>,
    ) -> Result<Arc<Tool>, String> {
        let name = name(&self.prefix, &offered.name)?;
        let text = serde_json::to_string(&offered.input_schema).map_err(|error| error.to_string())?;
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(format!("its schema has {} bytes, more than {SCHEMA_BYTES_MAX}", text.len()));
        }
        let schema = Schema::compile(&text).map_err(|why| format!("its schema {why}"))?;
        let described = offered.description.as_deref().unwrap_or_default();
        let tool = self.config.tool(&offered.name, described, offered.annotations.as_ref().and_then(annotated));
        if let Some(old) = old.filter(|old| old.effect == tool.effect) {
            return Ok(Arc::new(old.redescribed(&tool.description, schema)));
        }
        let upstream = Upstream::Mcp(upstream::Mcp::new(link.subscribe(), &offered.name, &tool));
        let url = Url::parse(&tool.url).ok();
        let made = Tool::guarded(&name, &tool, url.as_ref(), &self.settings, &self.circuits, schema, upstream);
        made.map(Arc::new).map_err(|(key, why)| format!("its {key} {why}"))
    }
}

/// The name in the mesh. MCP knows a few characters more than we do.
fn name(prefix: &str, own: &str) -> Result<String, String> {
    let plain = |char: char| if char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.') { char } else { '_' };
    let name: String = prefix.chars().chain(own.chars().map(plain)).collect();
    if own.is_empty() || !named_well(&name) {
        return Err(format!("its name in the mesh would be {name:?}, which is not 1 to 64 characters long"));
    }
    Ok(name)
}

/// What the server says that repeating a call would do. Whether that counts is for the operator to say.
fn annotated(hints: &ToolAnnotations) -> Option<Effect> {
    match (hints.read_only_hint, hints.idempotent_hint) {
        (Some(true), _) => Some(Effect::ReadOnly),
        (_, Some(true)) => Some(Effect::Idempotent),
        (None, None) if hints.destructive_hint.is_none() => None,
        _ => Some(Effect::Effectful),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast_resilience::breaker::Settings;
    use holdfast_rpc::Channel;

    use super::*;
    use crate::circuits::Keeper;

    #[tokio::test]
    async fn a_server_that_makes_up_names_all_the_time_comes_to_an_end() {
        // Nobody is asked: nothing is started.
        let nobody = Channel::connect("state", "http://127.0.0.1:1", None, None).expect("a URL");
        let circuits = Circuits::new(Settings::default(), Keeper::new(nobody, Duration::from_secs(1)), None);
        let mut offers = Offers::new("far", &Mcp::default(), ToolProxy::default(), Arc::new(circuits));
        let link = watch::Sender::new(Link::Coming);
        let listed = |from: usize, to: usize| {
            let offered = |number| Offered::new(format!("t{number}"), "", Arc::default());
            (from..to).map(offered).collect::<Vec<_>>()
        };
        assert_eq!(offers.take(&listed(0, 600), &link).len(), 600);
        assert_eq!(offers.take(&listed(600, 1_200), &link).len(), NAMES_MAX - 600, "there is room for some");
        assert_eq!(offers.take(&listed(1_200, 1_300), &link).len(), 0);
        assert_eq!(offers.take(&listed(0, 1_300), &link).len(), NAMES_MAX, "what was known may come back");
    }

    #[test]
    fn a_name_that_does_not_fit_is_no_tools() {
        assert_eq!(name("a_", "files/read").expect("it fits"), "a_files_read");
        assert!(name("a_", "").is_err());
        assert!(name("a_", &"x".repeat(63)).is_err());
    }

    #[test]
    fn hints_are_read_by_the_strongest_promise() {
        let hints = |read_only, idempotent| {
            annotated(&ToolAnnotations::from_raw(None, read_only, Some(true), idempotent, None))
        };
        assert_eq!(hints(Some(true), None), Some(Effect::ReadOnly));
        assert_eq!(hints(Some(false), Some(true)), Some(Effect::Idempotent));
        assert_eq!(hints(None, None), Some(Effect::Effectful));
        assert_eq!(annotated(&ToolAnnotations::new()), None);
    }
}
