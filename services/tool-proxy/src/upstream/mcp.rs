//! A tool of an MCP server: every call goes over the connection that the server has at that moment.

mod answer;
mod program;
mod session;
mod web;

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, RequestMetaObject};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::program::{Program, Running};
pub(crate) use self::session::{Greeting, Session};
pub(crate) use self::web::Web;
use super::discreet::Discreet;
use super::{Heard, Outgoing};
use crate::config;
use crate::domain::Miss;

/// What an idempotent tool may deduplicate by, in the request's `_meta`: MCP has no word of its own for it.
const IDEMPOTENCY_KEY: &str = "holdfast/idempotency-key";

/// What stands around an answer.
const ENVELOPE_BYTES: usize = 64 << 10;

/// A page of a list must have room, however small the answers are.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// One message of a server with an answer of so many bytes: that may stand there as text, with an escape before every other
/// character, and structured too.
fn message_bytes_max(answer_bytes_max: usize) -> usize {
    answer_bytes_max.saturating_mul(4).saturating_add(ENVELOPE_BYTES)
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct Unmet {
    pub(crate) why: String,
    /// Nobody was there: that says nothing of how the server wants to be greeted.
    pub(crate) nobody: bool,
}

/// How a server is reached.
#[derive(Debug)]
pub(crate) enum Place {
    /// At its URL.
    Web(Web),
    /// By starting it.
    Program(Program),
}

impl Place {
    /// A connection, with the process behind it where there is one.
    pub(crate) async fn connect(&self, greeting: Greeting) -> Result<(Session, Option<Running>), Unmet> {
        match self {
            Self::Web(web) => web.connect(greeting).await.map(|session| (session, None)),
            Self::Program(program) => program.start(greeting).await.map(|(session, running)| (session, Some(running))),
        }
    }
}

/// How a server stands.
#[derive(Debug, Clone, Default)]
pub(crate) enum Link {
    /// A connection is being made.
    #[default]
    Coming,
    /// There is none, and the next try is not due yet.
    Away,
    /// Calls can be made.
    Here(Arc<Session>),
}

/// The way to one tool of a server.
#[derive(Debug, Clone)]
pub(crate) struct Mcp {
    link: watch::Receiver<Link>,
    /// The server's own name for it.
    name: Arc<str>,
    timeout: Duration,
    /// How long a call waits for a connection that is being made.
    connect_timeout: Duration,
    response_bytes_max: usize,
    discreet: Discreet,
}

impl Mcp {
    pub(crate) fn new(link: watch::Receiver<Link>, name: &str, tool: &config::Tool) -> Self {
        Self {
            link,
            name: name.into(),
            timeout: *tool.timeout,
            connect_timeout: *tool.connect_timeout,
            response_bytes_max: tool.max_response_bytes.bytes(),
            discreet: Discreet::of(tool),
        }
    }

    /// How long the tool may be silent before it is called slow.
    pub(super) fn patience(&self) -> Duration {
        self.timeout
    }

    /// Calls the tool once.
    pub(super) async fn call(&self, session: &Session, outgoing: Outgoing<'_>) -> Result<Heard, Miss> {
        let mut params = CallToolRequestParams::new(self.name.to_string()).with_arguments(outgoing.arguments.clone());
        params.meta = meta(&outgoing);
        let heard = match timeout_at(outgoing.until, session.call(params)).await {
            Ok(Ok(response)) => answer::read(response),
            Ok(Err(error)) => answer::judge(error),
            Err(_) => Err(Miss::timeout()),
        };
        answer::within(self.response_bytes_max, self.discreet.hear(heard?))
    }

    /// The connection; one that is just being made is waited for. Without one, nothing has left.
    pub(super) async fn session(&self, until: Instant) -> Result<Arc<Session>, Miss> {
        let mut link = self.link.clone();
        let patience = until.min(Instant::now() + self.connect_timeout);
        let settled = |link: &Link| match link {
            Link::Coming => false,
            Link::Away => true,
            Link::Here(session) => session.serves(),
        };
        match timeout_at(patience, link.wait_for(settled)).await {
            Ok(Ok(link)) => match &*link {
                Link::Here(session) => Ok(Arc::clone(session)),
                _ => Err(Miss::unconnected()),
            },
            _ => Err(Miss::unconnected()),
        }
    }
}

/// The trace that the call belongs to, and its key.
fn meta(outgoing: &Outgoing<'_>) -> Option<RequestMetaObject> {
    let mut meta = RequestMetaObject::default();
    if let Some(trace) = holdfast_rpc::trace::outgoing() {
        meta.set_traceparent(trace.to_string());
    }
    if let Some(key) = outgoing.idempotency_key {
        meta.insert(IDEMPOTENCY_KEY.into(), key.into());
    }
    (!meta.is_empty()).then_some(meta)
}
