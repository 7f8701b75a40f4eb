//! A client that knows nothing of this mesh: the protocol's own library.

use std::collections::HashMap;

use holdfast_rpc::lease;
use http::{HeaderName, HeaderValue};
use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, CallToolResult, ErrorData, ProtocolVersion, RequestMetaObject};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;

pub(super) type Client = RunningService<RoleClient, ()>;

/// Which revision a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// With a handshake.
    Older,
    /// Every request stands for itself.
    Current,
}

pub(super) const ERAS: [Era; 2] = [Era::Older, Era::Current];

/// What a client is configured with.
#[derive(Debug, Default)]
pub(super) struct Shows<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) lease: Option<&'a str>,
}

pub(super) async fn connect(url: &str, era: Era) -> Client {
    connect_with(url, era, &Shows::default()).await
}

pub(super) async fn connect_with(url: &str, era: Era, shows: &Shows<'_>) -> Client {
    let mut config = StreamableHttpClientTransportConfig::with_uri(format!("{url}/mcp"));
    if let Some(key) = shows.key {
        config = config.auth_header(key);
    }
    let headers = shows
        .lease
        .map(|token| (HeaderName::from_static(lease::HEADER), HeaderValue::try_from(token).expect("plain ASCII")));
    config = config.custom_headers(HashMap::from_iter(headers));
    let lifecycle = match era {
        Era::Older => ClientLifecycleMode::Initialize,
        Era::Current => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
    };
    let transport = StreamableHttpClientTransport::with_client(http_client(), config);
    ().serve_with_lifecycle(transport, lifecycle).await.expect("it speaks with us")
}

pub(super) fn http_client() -> reqwest::Client {
    // The second test of a process finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().expect("a client")
}

/// A call with arguments, and with what `_meta` says besides.
pub(super) fn call(tool: &str, arguments: Value, meta: Value) -> CallToolRequestParams {
    let mut params = CallToolRequestParams::new(tool.to_owned());
    params.arguments = arguments.as_object().cloned();
    if let Value::Object(meta) = meta {
        params.meta = Some(RequestMetaObject(meta.into()));
    }
    params
}

pub(super) async fn answer(client: &Client, params: CallToolRequestParams) -> CallToolResult {
    client.peer().call_tool(params).await.expect("it answers")
}

pub(super) async fn refusal(client: &Client, params: CallToolRequestParams) -> ErrorData {
    match client.peer().call_tool(params).await.expect_err("it refuses") {
        ServiceError::McpError(error) => error,
        other => panic!("another error: {other}"),
    }
}

/// One key of a result's `_meta`.
pub(super) fn told<'a>(result: &'a CallToolResult, key: &str) -> &'a Value {
    result.meta.as_ref().and_then(|meta| meta.get(key)).unwrap_or(&Value::Null)
}
