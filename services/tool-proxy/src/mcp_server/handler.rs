//! Messages, as the protocol's library has read them.

use std::sync::Arc;

use holdfast_rpc::Error;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tonic::Code;
use tracing::{Span, info_span};

use super::passage::Passage;
use super::{call, listing, refusal, result};
use crate::grpc::Tools;

/// For the model.
const INSTRUCTIONS: &str = "Every tool here is guarded: while one does not answer, something else may stand in for it, and \
    the answer says so. Where an outcome is unknown, the call may have had its effect: do not make it again before you have \
    found out.";

/// Serves each message by itself.
#[derive(Debug, Clone)]
pub(super) struct Handler {
    tools: Arc<Tools>,
}

impl Handler {
    pub(super) fn new(tools: Arc<Tools>) -> Self {
        Self { tools }
    }

    async fn call(
        &self,
        params: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Error> {
        let passage = Passage::of(context)?;
        let tool = params.name.to_string();
        let named = call::traceparent(&context.meta);
        let named = named.as_deref();
        let span = span(passage, &tool, named, context);
        let call = call::read(&passage.caller, params, &context.meta)?;
        // On the heap: the library's own futures are large enough for a thread's stack.
        let work = Box::pin(self.tools.call(&passage.caller, passage.lease.as_deref(), call));
        let reply = tokio::select! {
            // A call that nobody waits for ends here, and with it what it does.
            () = context.ct.cancelled() => return Err(cancelled()),
            () = passage.cancelled.cancelled() => return Err(cancelled()),
            reply = passage.carry(span, named, work) => reply?,
        };
        Ok(result::of(&tool, &reply).into())
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("holdfast", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.calls.catalog().get(name).map(|tool| listing::tool(&tool))
    }

    async fn list_tools(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let cursor = params.and_then(|params| params.cursor);
        let page = Passage::of(&context)
            .and_then(|passage| listing::page(self.tools.shown_to(&passage.caller), cursor.as_deref()));
        page.map_err(|error| refusal::tell(&error))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Box::pin(self.call(params, &context)).await.map_err(|error| refusal::tell(&error))
    }

    /// What the library could not read as one of its own requests comes here, ours with ill parameters too.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(match request.method.as_str() {
            "tools/call" => {
                refusal::tell(&Error::invalid("params", "must have a name as text and arguments as an object"))
            }
            "tools/list" => refusal::tell(&Error::invalid("cursor", "must be text")),
            _ => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None),
        })
    }

    fn accepted_subscription_filter(&self, _: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    /// Tells each change of the list, until its client goes or the process drains.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.tools.calls.catalog().changes();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                () = self.tools.stop.cancelled() => return Ok(()),
                changed = changes.changed() => {
                    let told = changed.is_ok() && context.sink().notify_tool_list_changed().await.is_ok();
                    if !told {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn cancelled() -> Error {
    Error::new(Code::Cancelled, "CANCELLED", "the call was cancelled by its client").maybe_happened()
}

/// The server's side of a call. A trace that the message names is the client's own; the one of the request over HTTP may be
/// that of something between.
/// Source: <https://github.com/open-telemetry/semantic-conventions-genai>
fn span(passage: &Passage, tool: &str, named: Option<&str>, context: &RequestContext<RoleServer>) -> Span {
    let version = context.protocol_version().map(|version| version.to_string());
    passage.begin(named, |request| {
        info_span!(
            parent: request,
            "mcp",
            otel.name = format!("tools/call {tool}"),
            otel.kind = "server",
            mcp.method.name = "tools/call",
            mcp.protocol.version = version,
            jsonrpc.request.id = %context.id,
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = tool,
        )
    })
}
