//! What a server offers, as tools of the mesh.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::RandomState;
use std::sync::Arc;

use reqwest::Url;
use rmcp::model::Tool as Offered;
use tokio::sync::watch;
use tracing::{info, warn};

use super::said::{LIST_BYTES_MAX, Said};
use crate::catalog::Tool;
use crate::circuits::Circuits;
use crate::config::{Mcp, ToolProxy, named_well};
use crate::schema::Schema;
use crate::upstream::{self, Link, Upstream};

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
    /// By the server's own names: the fingerprint of what it said, and what became of it.
    known: BTreeMap<String, (u64, Result<Arc<Tool>, String>)>,
    /// Makes the fingerprints; no server knows it.
    fingers: RandomState,
    /// Names that are another tool's.
    taken: BTreeSet<String>,
    /// All that were ever made, by the server's own names.
    used: BTreeSet<String>,
    /// Whether it was told that there were too many.
    told_full: bool,
    /// Whether it was told that the list says too much.
    told_long: bool,
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
            fingers: RandomState::new(),
            taken: BTreeSet::new(),
            used: BTreeSet::new(),
            told_full: false,
            told_long: false,
        }
    }

    /// The tools of a list. One that has not changed since the last list is the same as before. A name beyond those that the
    /// server may have used is left out, and so is a tool for whose description the list has no room left.
    pub(super) fn take(&mut self, listed: &[Offered], link: &watch::Sender<Link>) -> Vec<Arc<Tool>> {
        let mut before = std::mem::take(&mut self.known);
        let (mut bytes, mut long) = (0, false);
        for offered in listed {
            // A name that is not taken must not use up room.
            if !self.config.takes(&offered.name) || !self.has_room(&offered.name) {
                continue;
            }
            if self.known.contains_key(offered.name.as_ref()) {
                warn!(server = self.server, tool = %offered.name, "MCP server lists a tool twice: the first counts");
                continue;
            }
            let (said, old) = (Said::new(offered, &self.config), before.remove(offered.name.as_ref()));
            if said.check().is_ok() {
                if bytes + said.bytes() > LIST_BYTES_MAX {
                    long = true;
                    continue;
                }
                bytes += said.bytes();
            }
            let fingerprint = said.fingerprint(&self.fingers);
            let made = match old {
                Some((old, made)) if old == fingerprint => made,
                old => self.make(offered, &said, old.and_then(|(_, made)| made.ok()), link),
            };
            self.known.insert(offered.name.to_string(), (fingerprint, made));
        }
        self.tell_long(long);
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

    /// Says that a list is too long, once until there is one that is not.
    fn tell_long(&mut self, long: bool) {
        if long && !self.told_long {
            warn!(server = self.server, LIST_BYTES_MAX, "MCP server says too much of its tools: some are left out");
        }
        self.told_long = long;
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
        said: &Said,
        old: Option<Arc<Tool>>,
        link: &watch::Sender<Link>,
    ) -> Result<Arc<Tool>, String> {
        let made = self.build(offered, said, old, link);
        match &made {
            Ok(_) => drop(self.used.insert(offered.name.to_string())),
            Err(why) => warn!(server = self.server, tool = %offered.name, why, "MCP server's tool is left out"),
        }
        made
    }

    fn build(
        &self,
        offered: &Offered,
        said: &Said,
        old: Option<Arc<Tool>>,
        link: &watch::Sender<Link>,
    ) -> Result<Arc<Tool>, String> {
        let name = name(&self.prefix, &offered.name)?;
        said.check()?;
        let schema = Schema::compile(&said.schema).map_err(|why| format!("its schema {why}"))?;
        let tool = &said.tool;
        if let Some(old) = old.filter(|old| old.effect == tool.effect) {
            return Ok(Arc::new(old.redescribed(&tool.description, schema)));
        }
        let upstream = Upstream::Mcp(upstream::Mcp::new(link.subscribe(), &offered.name, tool));
        let url = Url::parse(&tool.url).ok();
        let made = Tool::guarded(&name, tool, url.as_ref(), &self.settings, &self.circuits, schema, upstream);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast_resilience::breaker::Settings;
    use holdfast_rpc::Channel;

    use super::*;
    use crate::circuits::Keeper;

    fn offers() -> (Offers, watch::Sender<Link>) {
        // Nobody is asked: nothing is started.
        let nobody = Channel::connect("state", "http://127.0.0.1:1", None, None).expect("a URL");
        let circuits = Circuits::new(Settings::default(), Keeper::new(nobody, Duration::from_secs(1)), None);
        let offers = Offers::new("far", &Mcp::default(), ToolProxy::default(), Arc::new(circuits));
        (offers, watch::Sender::new(Link::Coming))
    }

    #[tokio::test]
    async fn of_a_server_that_says_too_much_the_rest_is_taken() {
        let (mut offers, link) = offers();
        let long = |name: &str, bytes: usize| Offered::new(name.to_owned(), "x".repeat(bytes), Arc::default());
        let names = |tools: Vec<Arc<Tool>>| tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>();
        let listed = [long("a", 16 << 10), long("b", (16 << 10) + 1), long("c", 5 << 20), long("d", 1)];
        assert_eq!(names(offers.take(&listed, &link)), ["far_a", "far_d"], "a long description is left out, alone");

        let mut listed: Vec<_> = (0..300).map(|number| long(&format!("t{number}"), 16 << 10)).collect();
        let taken = offers.take(&listed, &link).len();
        assert!((250..256).contains(&taken), "{taken}: together they have 4 MiB");
        assert!(offers.told_long, "the log says so");
        listed.truncate(2);
        let kept = offers.take(&listed, &link);
        assert!(kept.len() == 2 && !offers.told_long, "there is room again");
    }

    #[tokio::test]
    async fn a_tool_changes_with_what_is_shown_of_it_and_with_nothing_else() {
        let (mut offers, link) = offers();
        let plain = Offered::new("a", "Looks.", Arc::default());
        let mut take = |offered: &Offered| offers.take(std::slice::from_ref(offered), &link).remove(0);
        let first = take(&plain);
        let answers = plain.clone().with_raw_output_schema(Arc::default());
        assert!(Arc::ptr_eq(&first, &take(&answers)), "schemas of answers are shown to nobody");
        let other = take(&Offered::new("a", "Looks again.", Arc::default()));
        assert_eq!((other.description.as_str(), Arc::ptr_eq(&other.guard, &first.guard)), ("Looks again.", true));
    }

    #[tokio::test]
    async fn a_server_that_makes_up_names_all_the_time_comes_to_an_end() {
        let (mut offers, link) = offers();
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
}
