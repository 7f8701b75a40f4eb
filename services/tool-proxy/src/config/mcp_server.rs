use serde::Deserialize;

/// `[tool_proxy.mcp]`: who may speak MCP to it from where, against pages that have their own name resolve to this machine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct McpServer {
    /// Hosts that clients may mean, with or without a port. On loopback the names of this machine always are; elsewhere
    /// none here means any.
    pub hosts: Vec<String>,
    /// Origins from which a page may call, as `https://app.example`; `:*` at the end stands for any port.
    pub origins: Vec<String>,
}
