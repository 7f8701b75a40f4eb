//! The tools as they are called: the configured ones, which stay, and those of MCP servers, which come and go whole.
//!
//! Invariants:
//! - a name is one tool's: a configured one first, then that of the server whose name comes first;
//! - a server's tools stay known while the server is away, and are replaced only by a later, whole list of its own;
//! - a call goes on with the tool that it began with, whatever is listed meanwhile.

mod page;
mod tool;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_config::{Common, Invalid};
use holdfast_rpc::{Error, deadline};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use self::page::page;
pub(crate) use self::tool::Tool;
use crate::circuits::Circuits;
use crate::config::{self, Config, Fallback};
use crate::egress::Egress;

/// A result that came at the last moment gets so long to be recorded before a repeat calls it lost.
pub(crate) const RECORDING: Duration = Duration::from_secs(1);

/// How long a call waits for the first list of a server that is just being asked for it.
const LIST_WAIT: Duration = Duration::from_secs(5);

/// When to come back for a tool of a server that has never answered.
const LIST_AGAIN: Duration = Duration::from_secs(2);

/// By name, as they stand at one moment.
pub(crate) type Tools = Arc<BTreeMap<String, Arc<Tool>>>;

/// All tools.
#[derive(Debug)]
pub(crate) struct Catalog {
    configured: BTreeMap<String, Arc<Tool>>,
    /// Servers whose tools are yet to come, or have come.
    servers: BTreeMap<String, Expected>,
    known: RwLock<Known>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Known {
    by_server: BTreeMap<String, Vec<Arc<Tool>>>,
    all: Tools,
}

#[derive(Debug)]
struct Expected {
    prefix: String,
    listed: watch::Sender<Listed>,
}

/// Whether the tools of a server are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// It is being asked for the first time.
    Asked,
    /// It has not answered yet.
    Not,
    Yes,
}

impl Catalog {
    /// Builds every configured tool; its breaker joins the circuits.
    pub(crate) fn new(config: &Config, common: &Common, egress: &Egress, circuits: &Circuits) -> Result<Self, Invalid> {
        let build = |(name, tool): (&String, &config::Tool)| {
            let invalid = |(key, why)| Invalid::new(format!("tools.{name}.{key}"), why);
            let built = Tool::configured(name, tool, config, common, egress, circuits).map_err(invalid)?;
            Ok((name.clone(), Arc::new(built)))
        };
        let configured: BTreeMap<_, _> = config.tools.iter().map(build).collect::<Result<_, _>>()?;
        let expected = |(name, server): (&String, &config::Mcp)| {
            let expected = Expected { prefix: server.prefix(name), listed: watch::Sender::new(Listed::Asked) };
            (name.clone(), expected)
        };
        let known = Known { by_server: BTreeMap::new(), all: Arc::new(configured.clone()) };
        Ok(Self {
            configured,
            servers: config.mcp.iter().map(expected).collect(),
            known: RwLock::new(known),
            changes: watch::Sender::new(0),
        })
    }

    /// A tool that is known now.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Tool>> {
        self.known.read().all.get(name).cloned()
    }

    /// All that are known now, by name.
    pub(crate) fn tools(&self) -> Tools {
        Arc::clone(&self.known.read().all)
    }

    /// Counts each time that the tools have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A tool, where it is known, or will be in a moment.
    ///
    /// # Errors
    /// NOT_FOUND; or UNAVAILABLE where it may belong to a server that has not told its tools yet.
    pub(crate) async fn find(&self, name: &str) -> Result<Arc<Tool>, Error> {
        if let Some(tool) = self.get(name) {
            return Ok(tool);
        }
        let patience = deadline::remaining().map_or(LIST_WAIT, |left| LIST_WAIT.min(left / 2));
        for (server, expected) in self.servers.iter().filter(|(_, expected)| name.starts_with(&expected.prefix)) {
            let mut listed = expected.listed.subscribe();
            let known = timeout(patience, listed.wait_for(|listed| *listed != Listed::Asked)).await;
            if let Some(tool) = self.get(name) {
                return Ok(tool);
            }
            if !matches!(known, Ok(Ok(listed)) if *listed == Listed::Yes) {
                let why = format!("the tools of the MCP server {server:?} are not known yet: it does not answer");
                return Err(Error::unavailable(why, LIST_AGAIN));
            }
        }
        Err(Error::not_found(format!("tool {name:?}")))
    }

    /// Takes the tools of a server in place of those that it had. Returns the names that are taken already.
    pub(crate) fn publish(&self, server: &str, tools: Vec<Arc<Tool>>) -> BTreeSet<String> {
        let mut known = self.known.write();
        known.by_server.insert(server.to_owned(), tools);
        let (mut all, mut refused) = (self.configured.clone(), BTreeSet::new());
        for (owner, tools) in &known.by_server {
            for tool in tools {
                if all.contains_key(&tool.name) {
                    if owner == server {
                        refused.insert(tool.name.clone());
                    }
                } else {
                    all.insert(tool.name.clone(), Arc::clone(tool));
                }
            }
        }
        let same = |(old, new): (&Arc<Tool>, &Arc<Tool>)| Arc::ptr_eq(old, new);
        let changed = known.all.len() != all.len() || !known.all.values().zip(all.values()).all(same);
        known.all = Arc::new(all);
        drop(known);
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
        self.says(server, Listed::Yes);
        refused
    }

    /// A server could not be asked for its tools. What is known of it stays.
    pub(crate) fn unlisted(&self, server: &str) {
        self.says(server, Listed::Not);
    }

    fn says(&self, server: &str, listed: Listed) {
        let Some(expected) = self.servers.get(server) else { return };
        expected.listed.send_if_modified(|known| {
            let news = *known != Listed::Yes && *known != listed;
            if news {
                *known = listed;
            }
            news
        });
    }

    /// How long a call of a tool may take once it may have had its effect: its own time, and that of each tool that may
    /// stand in for it.
    pub(crate) fn patience(&self, tool: &Tool) -> Duration {
        let stand_ins = tool.fallback.iter().filter_map(|fallback| match fallback {
            // Each attempt of it has a wait and a time; so has the pause between two.
            Fallback::Tool { name } => {
                self.get(name).map(|tool| (2 * tool.timeout + tool.places.wait()) * tool.attempts)
            }
            _ => None,
        });
        tool.timeout + stand_ins.sum::<Duration>() + RECORDING
    }
}
