//! `[tool_proxy]` and `[tools.NAME]`, parsed once and checked against each other.

mod guarded;
mod http;
mod mcp;
mod mcp_server;
mod tool;
mod validate;

use std::collections::BTreeMap;

use holdfast_config::{ConfigError, Document, Invalid, Size, Span};
use holdfast_rpc::keys::Callers;
use holdfast_rpc::service::Settings;
use serde::Deserialize;

use crate::egress::Settings as Egress;

pub use self::http::{Basic, Failures};
pub use self::mcp::{Mcp, McpTool};
pub use self::mcp_server::McpServer;
pub use self::tool::{Breaker, Fallback, Method, Tool};
pub(crate) use self::validate::named_well;

/// The service's part of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[tool_proxy]`
    pub tool_proxy: ToolProxy,
    /// `[tools.NAME]`
    pub tools: BTreeMap<String, Tool>,
    /// `[mcp.NAME]`
    pub mcp: BTreeMap<String, Mcp>,
    /// `[[gateway.keys]]`; none where none are configured.
    pub callers: Option<Callers>,
}

/// `[tool_proxy]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolProxy {
    /// Where it listens.
    pub address: String,
    /// The largest arguments of a call.
    pub arguments_bytes_max: Size,
    /// Retries of calls that may be repeated, as a share of each tool's calls in percent.
    pub retry_percent: u32,
    /// What each tool's last good answers may take in memory.
    pub last_good_bytes_max: Size,
    /// How long one question to the state service may take.
    pub state_timeout: Span,
    /// How long a known result is carried to the state service before it is given up.
    pub record_for: Span,
    /// How long the record of a call is kept after its last change.
    pub records_kept: Span,
    /// When to stop asking a host, whatever tool on it is wanted.
    pub host_breaker: Breaker,
    /// What its tools may reach besides the internet.
    pub egress: Egress,
    /// Who may speak MCP to it from where.
    pub mcp: McpServer,
}

impl Default for ToolProxy {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:7073".into(),
            arguments_bytes_max: Size::from_kib(256),
            retry_percent: 10,
            last_good_bytes_max: Size::from_mib(8),
            state_timeout: Span::from_secs(5),
            record_for: Span::from_secs(60),
            records_kept: Span::from_secs(30 * 24 * 3_600),
            host_breaker: Breaker::default(),
            egress: Egress::default(),
            mcp: McpServer::default(),
        }
    }
}

impl Config {
    /// Checks what one key alone cannot show.
    ///
    /// # Errors
    /// The first setting that does not hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.tool_proxy.mcp.check()?;
        validate::config(self)
    }

    /// Whether a tool of this name may yet come from an MCP server.
    fn may_discover(&self, tool: &str) -> bool {
        self.mcp.iter().any(|(name, server)| tool.starts_with(&server.prefix(name)))
    }
}

impl Settings for Config {
    fn from_document(document: &Document) -> Result<Self, ConfigError> {
        let config = Self {
            tool_proxy: document.section("tool_proxy")?,
            tools: document.section("tools")?,
            mcp: document.section("mcp")?,
            callers: Callers::read(document)?,
        };
        config.validate().map_err(|invalid| document.locate(invalid))?;
        Ok(config)
    }

    fn address(&self) -> &str {
        &self.tool_proxy.address
    }
}
