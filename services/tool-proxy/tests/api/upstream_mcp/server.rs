//! An MCP server over streamable HTTP that does what the test says. It runs in a thread and runtime of its own, so that it
//! can be killed and come back at the same place.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool, ToolAnnotations,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot, watch};

/// Which revisions a server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2026-07-28: no handshake, no session.
    Stateless,
    /// Up to 2025-11-25: a handshake and a session.
    Sessions,
}

pub(crate) const ERAS: [Era; 2] = [Era::Stateless, Era::Sessions];

/// Something that reached the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// `list`, `initialized`, `cancelled`, or `call` of a tool.
    pub(crate) what: String,
    pub(crate) arguments: Value,
    pub(crate) meta: Value,
}

/// What outlives a kill.
struct Script {
    era: Era,
    tools: Mutex<Vec<Tool>>,
    /// Tools in one page.
    page: usize,
    seen: watch::Sender<Vec<Seen>>,
    changed: broadcast::Sender<()>,
    sessions: Mutex<Option<Arc<LocalSessionManager>>>,
}

pub(crate) struct McpServer {
    script: Arc<Script>,
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// A tool that takes any object.
pub(crate) fn plain(name: &'static str) -> Tool {
    described(name, json!({"type": "object"}))
}

pub(crate) fn described(name: &'static str, schema: Value) -> Tool {
    Tool::new(name, format!("does {name}"), Arc::new(schema.as_object().expect("an object").clone()))
}

pub(crate) fn hinted(name: &'static str, hints: ToolAnnotations) -> Tool {
    plain(name).with_annotations(hints)
}

impl McpServer {
    /// One with these tools, running.
    pub(crate) async fn start(era: Era, tools: Vec<Tool>) -> Self {
        let mut server = Self::absent(era, tools).await;
        server.come_back().await;
        server
    }

    /// One that has a place, but is not there.
    pub(crate) async fn absent(era: Era, tools: Vec<Tool>) -> Self {
        let script = Script {
            era,
            tools: Mutex::new(tools),
            page: 2,
            seen: watch::Sender::default(),
            changed: broadcast::channel(16).0,
            sessions: Mutex::default(),
        };
        // Not one that the system gives away by itself: whoever looks for the server meanwhile could be given it.
        let address = (Ipv4Addr::LOCALHOST, holdfast_testkit::free_ports(1)).into();
        Self { script: Arc::new(script), address, running: None }
    }

    pub(crate) async fn come_back(&mut self) {
        let (script, address) = (Arc::clone(&self.script), self.address);
        let (kill, killed) = oneshot::channel();
        let (bound, started) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.expect("its place is free");
                bound.send(()).expect("the test waits");
                let manager = Arc::new(LocalSessionManager::default());
                *script.sessions.lock().expect("no panic") = Some(Arc::clone(&manager));
                let service = StreamableHttpService::new(
                    move || Ok(Handler { script: Arc::clone(&script) }),
                    manager,
                    StreamableHttpServerConfig::default().disable_allowed_hosts(),
                );
                let router = axum::Router::new().route_service("/mcp", service);
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.expect("it serves"),
                    _ = killed => {}
                }
            });
        });
        started.await.expect("it starts");
        self.running = Some((kill, thread));
    }

    /// Ends it in the middle of everything.
    pub(crate) fn kill(&mut self) {
        if let Some((kill, thread)) = self.running.take() {
            drop(kill);
            thread.join().expect("no panic");
        }
    }

    /// Forgets every session, as a server does after a while.
    pub(crate) async fn forget_sessions(&self) {
        let sessions = self.script.sessions.lock().expect("no panic").clone().expect("it runs");
        let forgotten = std::mem::take(&mut *sessions.sessions.write().await);
        assert!(!forgotten.is_empty(), "there was a session");
    }

    /// Has other tools from now on, and says so.
    pub(crate) fn change(&self, tools: Vec<Tool>) {
        self.change_silently(tools);
        self.script.changed.send(()).ok();
    }

    pub(crate) fn change_silently(&self, tools: Vec<Tool>) {
        *self.script.tools.lock().expect("no panic") = tools;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Everything of a kind that arrived.
    pub(crate) fn seen(&self, what: &str) -> Vec<Seen> {
        self.script.seen.borrow().iter().filter(|seen| seen.what == what).cloned().collect()
    }

    /// Waits until so many of a kind have arrived.
    pub(crate) async fn arrived(&self, what: &str, count: usize) {
        let enough = |seen: &Vec<Seen>| seen.iter().filter(|seen| seen.what == what).count() >= count;
        self.script.seen.subscribe().wait_for(enough).await.expect("the script lives");
    }
}

impl Drop for McpServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Clone)]
struct Handler {
    script: Arc<Script>,
}

impl Handler {
    fn note(&self, what: &str, arguments: Value, meta: Value) {
        self.script.seen.send_modify(|seen| seen.push(Seen { what: what.to_owned(), arguments, meta }));
    }

    fn note_plain(&self, what: &str) {
        self.note(what, Value::Null, Value::Null);
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match self.script.era {
            Era::Stateless => Cow::Borrowed(&[ProtocolVersion::V_2026_07_28]),
            Era::Sessions => Cow::Borrowed(&[ProtocolVersion::V_2025_06_18, ProtocolVersion::V_2025_11_25]),
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.note_plain("initialized");
        tokio::spawn(tell_changes(context.peer, self.script.changed.subscribe()));
    }

    fn accepted_subscription_filter(&self, _: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changed = self.script.changed.subscribe();
        self.note_plain("listening");
        while changed.recv().await.is_ok() {
            if context.sink().notify_tool_list_changed().await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn list_tools(
        &self,
        params: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.note_plain("list");
        let from: usize = params.and_then(|params| params.cursor).map_or(0, |cursor| cursor.parse().expect("ours"));
        let tools = self.script.tools.lock().expect("no panic").clone();
        let page: Vec<_> = tools.iter().skip(from).take(self.script.page).cloned().collect();
        let next = from + page.len();
        let mut result = ListToolsResult::with_all_items(page);
        result.next_cursor = (next < tools.len()).then(|| next.to_string());
        Ok(result)
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = params.arguments.map_or(Value::Null, Value::Object);
        let meta = serde_json::to_value(&context.meta).expect("plain data");
        self.note(&params.name, arguments.clone(), meta);
        let text = |text: String| vec![ContentBlock::text(text)];
        Ok(match params.name.as_ref() {
            "structured" => CallToolResult::structured(arguments).into(),
            "sorry" => CallToolResult::error(text("no such city".into())).into(),
            "oops" => return Err(ErrorData::internal_error("it broke", None)),
            "picky" => return Err(ErrorData::invalid_params("that session is not one of mine", None)),
            "big" => CallToolResult::success(text("x".repeat(100_000))).into(),
            "hang" => {
                context.ct.cancelled().await;
                self.note_plain("cancelled");
                CallToolResult::success(text("nobody hears that".into())).into()
            }
            _ => CallToolResult::success(text(format!("you said {arguments}"))).into(),
        })
    }
}

async fn tell_changes(peer: Peer<RoleServer>, mut changed: broadcast::Receiver<()>) {
    while changed.recv().await.is_ok() {
        if peer.notify_tool_list_changed().await.is_err() {
            return;
        }
    }
}
