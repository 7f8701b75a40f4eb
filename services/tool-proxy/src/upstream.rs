//! The ways to a tool, one behind each kind. What is in here knows sockets, processes and protocols; what asks knows
//! effects, fences and fallbacks.

mod discreet;
mod http;
mod mcp;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_rpc::Error;
use serde_json::{Map, Value};
use tokio::time::Instant;

pub(crate) use self::http::{Form, Http, authority, headers, is_content_type};
pub(crate) use self::mcp::{Greeting, Link, Mcp, Place, Program, Running, Session, Unmet, Web};
use crate::domain::{Miss, Outcome};

/// The way to one tool.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// One request with JSON.
    Http(Arc<Http>),
    /// A tool of an MCP server.
    Mcp(Mcp),
}

/// The way to one tool, where nothing has to be waited for any more before a request.
#[derive(Debug)]
pub(crate) enum Way<'a> {
    /// As [`Upstream::Http`].
    Http(&'a Http),
    /// As [`Upstream::Mcp`], over the connection that its server has now.
    Mcp(&'a Mcp, Arc<Session>),
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) arguments: &'a Map<String, Value>,
    pub(crate) idempotency_key: Option<&'a str>,
    /// Session and id of the invocation that calls, for a tool that may know them.
    pub(crate) invocation: Option<(&'a str, &'a str)>,
    /// When the answer must be whole.
    pub(crate) until: Instant,
}

/// The tool has spoken.
#[derive(Debug)]
pub(crate) struct Heard {
    /// REAL, or TOOL_ERROR where the tool says that it cannot do this.
    pub(crate) outcome: Outcome,
    pub(crate) content: Bytes,
    pub(crate) content_type: String,
    /// Whether the answer shows a tool in health.
    pub(crate) healthy: bool,
}

impl Upstream {
    /// How long the tool may be silent before it is called slow.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            Self::Http(http) => http.patience(),
            Self::Mcp(mcp) => mcp.patience(),
        }
    }

    /// Whether the mesh's simulator is called, and nothing outside. What a server of tools does, nobody knows.
    pub(crate) fn is_simulated(&self) -> bool {
        match self {
            Self::Http(http) => http.is_simulated(),
            Self::Mcp(_) => false,
        }
    }

    /// Whether the tool can be asked with these arguments at all.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with the name of the first that is missing or does not fit into its place.
    pub(crate) fn accepts(&self, arguments: &Map<String, Value>) -> Result<(), Error> {
        match self {
            Self::Http(http) => http.accepts(arguments),
            Self::Mcp(_) => Ok(()),
        }
        .map_err(|unfit| Error::invalid(format!("arguments/{}", unfit.argument), unfit.why))
    }

    /// Waits for what a request needs, such as a connection that is just being made: what is checked last before sending
    /// is checked after this.
    pub(crate) async fn ready(&self, until: Instant) -> Result<Way<'_>, Miss> {
        Ok(match self {
            Self::Http(http) => Way::Http(http),
            Self::Mcp(mcp) => Way::Mcp(mcp, mcp.session(until).await?),
        })
    }
}

impl Way<'_> {
    /// Asks once. Nothing is sent a second time behind the caller's back.
    pub(crate) async fn call(&self, outgoing: Outgoing<'_>) -> Result<Heard, Miss> {
        match self {
            Self::Http(http) => http.call(outgoing).await,
            // On the heap: its future is many times that of the others, which would be moved about at its size.
            Self::Mcp(mcp, session) => Box::pin(mcp.call(session, outgoing)).await,
        }
    }
}
