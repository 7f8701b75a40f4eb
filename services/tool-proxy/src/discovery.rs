//! The tools of MCP servers: one background duty for each server keeps a connection, lists what the server has, and puts
//! it into the catalog.
//!
//! ```text
//!            ┌──────────────────── backoff ◄───────────────┐
//!            ▼                                             │ no connection, no list,
//! connect (stateless revision, else handshake) ─► list ────┤ connection or process ended
//!                                                  ▲  │    │
//!                 list_changed, or refresh is due ─┘  └─► catalog
//! ```

mod offer;
mod said;
mod server;

use std::sync::Arc;

use holdfast_config::Invalid;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::offer::Offers;
use self::server::Server;
use crate::catalog::Catalog;
use crate::circuits::Circuits;
use crate::config::{self, Config};
use crate::egress::{ClientSettings, Egress};
use crate::upstream::{self, Place, Program, Web};

/// The duties of all servers.
#[derive(Debug)]
pub(crate) struct Discovery {
    duties: TaskTracker,
    stop: CancellationToken,
    _stop: DropGuard,
}

impl Discovery {
    /// Begins with every server. Whether one is there or not, this does not wait for it.
    ///
    /// # Errors
    /// A server that no client can be made for, by its key.
    pub(crate) fn start(
        config: &Config,
        egress: &Egress,
        circuits: &Arc<Circuits>,
        catalog: &Arc<Catalog>,
    ) -> Result<Self, Invalid> {
        let (duties, stop) = (TaskTracker::new(), CancellationToken::new());
        for (name, server) in &config.mcp {
            let invalid = |(key, why): (String, String)| Invalid::new(format!("mcp.{name}.{key}"), why);
            let place = place(name, server, egress).map_err(invalid)?;
            let offers = Offers::new(name, server, config.tool_proxy.clone(), Arc::clone(circuits));
            let server = Server::new(name, server, place, offers, Arc::clone(catalog));
            // Without a span: one that lasts as long as the process is told by nobody who is killed, and its trace never ends.
            duties.spawn(server.run(stop.clone()));
        }
        Ok(Self { duties, _stop: stop.clone().drop_guard(), stop })
    }

    /// Ends all connections and every server that was started, and waits for that.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.duties.close();
        self.duties.wait().await;
    }
}

fn place(name: &str, server: &config::Mcp, egress: &Egress) -> Result<Place, (String, String)> {
    if server.url.is_empty() {
        return Ok(Place::Program(Program::new(name, server)));
    }
    let tool = server.server();
    let client = egress
        .locked(ClientSettings {
            name: &format!("mcp.{name}"),
            url: &tool.url,
            allow_private: server.allow_private,
            redirects: 0,
            connect_timeout: *tool.connect_timeout,
            // A kept connection that the server closes just then would leave the outcome of a call unknown.
            pool_idle_max: if server.may_repeat_all() { tool.concurrency } else { 0 },
            authorities: upstream::authority(&tool)?,
        })
        .map_err(|why| ("url".to_owned(), why))?;
    Web::new(&tool, server.answer_bytes_max(), client).map(Place::Web)
}
