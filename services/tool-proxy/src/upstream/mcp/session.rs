//! One connection to an MCP server, of the stateless revision or with a handshake, which the server decides.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, ClientRequest, Implementation,
    ListToolsRequest, PaginatedRequestParams, ProtocolVersion, ServerResult, SubscriptionFilter, Tool,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, NotificationContext, PeerRequestOptions, RoleClient,
    serve_client_with_lifecycle_and_ct,
};
use rmcp::transport::IntoTransport;
use rmcp::{ClientHandler, Peer, ServiceError};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer;

/// Pages and tools of one server at the most: a list without end must not fill the memory.
const PAGES_MAX: usize = 100;
const TOOLS_MAX: usize = 1_000;

/// Between two tries to hear a server's news.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);

/// How the server is asked for its revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// The stateless revision first; a server that does not know it gets the handshake.
    Discover,
    /// The handshake at once: for a server that breaks at anything else.
    Initialize,
}

impl Greeting {
    fn mode(self) -> ClientLifecycleMode {
        match self {
            Self::Initialize => ClientLifecycleMode::Initialize,
            Self::Discover => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
            },
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Discover => Self::Initialize,
            Self::Initialize => Self::Discover,
        }
    }
}

/// What a connection shows while it is used.
#[derive(Debug, Clone, Default)]
pub(super) struct Bell {
    /// The server's tools may be others now.
    pub(super) changed: Arc<Notify>,
    /// The server does not know the session any more.
    pub(super) lost: CancellationToken,
}

/// A connection over which a server's tools are listed and called. It ends with this value.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Peer<RoleClient>,
    closed: CancellationToken,
    bell: Bell,
    end: CancellationToken,
    _end: DropGuard,
}

impl Session {
    pub(super) async fn open<T, E, A>(
        transport: T,
        greeting: Greeting,
        bell: Bell,
    ) -> Result<Self, ClientInitializeError>
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let end = CancellationToken::new();
        let listener = Listener { changed: Arc::clone(&bell.changed) };
        let running = serve_client_with_lifecycle_and_ct(listener, transport, greeting.mode(), end.clone()).await?;
        let (peer, closed) = (running.peer().clone(), CancellationToken::new());
        let told = closed.clone().drop_guard();
        tokio::spawn(async move {
            // However it ends, it is told by the guard.
            let _told = told;
            let _ = running.waiting().await;
        });
        let session = Self { peer, closed, bell, _end: end.clone().drop_guard(), end };
        if session.is_stateless() {
            let listening = listen(session.peer.clone(), Arc::clone(&session.bell.changed));
            tokio::spawn(session.closed.clone().run_until_cancelled_owned(listening));
        }
        Ok(session)
    }

    /// Whether the server is of the revision that knows no sessions.
    pub(crate) fn is_stateless(&self) -> bool {
        self.peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
    }

    /// The revision that both speak.
    pub(crate) fn revision(&self) -> String {
        self.peer.peer_info().map(|info| info.protocol_version.to_string()).unwrap_or_default()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_cancelled() || self.peer.is_transport_closed()
    }

    /// Ends it, with every call that is under way.
    pub(crate) fn close(&self) {
        self.end.cancel();
    }

    /// Resolves when the connection has ended.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Resolves when the server says that its tools have changed.
    pub(crate) async fn changed(&self) {
        self.bell.changed.notified().await;
    }

    /// Whether the server said that it does not know the session.
    pub(crate) fn is_lost(&self) -> bool {
        self.bell.lost.is_cancelled()
    }

    /// Resolves when it says so.
    pub(crate) async fn lost(&self) {
        self.bell.lost.cancelled().await;
    }

    /// Whether calls can be made.
    pub(crate) fn serves(&self) -> bool {
        !self.is_closed() && !self.is_lost()
    }

    /// Every tool of the server, page by page.
    pub(crate) async fn tools(&self, timeout: Duration) -> Result<Vec<Tool>, String> {
        let (mut tools, mut cursor, mut seen) = (Vec::new(), None, HashSet::new());
        for _ in 0..PAGES_MAX {
            let mut page = self.page(cursor.take(), timeout).await.map_err(|error| answer::whole(&error))?;
            tools.append(&mut page.0);
            if tools.len() > TOOLS_MAX {
                return Err(format!("it lists more than {TOOLS_MAX} tools"));
            }
            match page.1 {
                None => return Ok(tools),
                Some(next) if !seen.insert(next.clone()) => return Err("its list of tools goes in a circle".into()),
                next => cursor = next,
            }
        }
        Err(format!("its list of tools has more than {PAGES_MAX} pages"))
    }

    /// Past rmcp's cache, which would serve an old list for as long as the server does not answer.
    async fn page(
        &self,
        cursor: Option<String>,
        timeout: Duration,
    ) -> Result<(Vec<Tool>, Option<String>), ServiceError> {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params));
        let asked = self.peer.send_request_with_option(request, PeerRequestOptions::with_timeout(timeout)).await?;
        match asked.await_response().await? {
            ServerResult::ListToolsResult(page) => Ok((page.tools, page.next_cursor)),
            _ => Err(ServiceError::UnexpectedResponse),
        }
    }

    /// Calls a tool. Where this future is dropped, the server is told that nobody waits any longer: by
    /// `notifications/cancelled`, or in the stateless revision over HTTP by closing the request.
    pub(super) async fn call(&self, params: CallToolRequestParams) -> Result<CallToolResponse, ServiceError> {
        self.peer.call_tool_once(params).await
    }
}

/// The stateless revision sends news only over a request that is kept open for them. A server without this news is
/// looked at by the clock alone.
async fn listen(peer: Peer<RoleClient>, changed: Arc<Notify>) {
    let mut missed = false;
    loop {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        match peer.listen(filter).await {
            Ok(mut news) => {
                if std::mem::replace(&mut missed, true) {
                    changed.notify_one();
                }
                while let Ok(Some(_)) = news.next().await {
                    changed.notify_one();
                }
            }
            Err(ServiceError::McpError(_)) => return,
            Err(_) => {}
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// What we are to the server, and what we hear from it without having asked.
#[derive(Debug)]
struct Listener {
    changed: Arc<Notify>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let own = Implementation::new("holdfast", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), own)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}
