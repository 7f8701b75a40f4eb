//! The meters of MCP servers.

use metrics::{Unit, describe_gauge, gauge};

pub(super) fn describe() {
    describe_gauge!("holdfast_mcp_server_up", Unit::Count, "An MCP server: 1 while there is a connection to it.");
    describe_gauge!("holdfast_mcp_server_tools", Unit::Count, "The tools taken from an MCP server.");
}

pub(crate) fn mcp_server_stands(server: &str, up: bool) {
    gauge!("holdfast_mcp_server_up", "server" => server.to_owned()).set(if up { 1.0 } else { 0.0 });
}

pub(crate) fn mcp_tools(server: &str, count: usize) {
    // Exact up to 2^53.
    #[expect(clippy::cast_precision_loss)]
    gauge!("holdfast_mcp_server_tools", "server" => server.to_owned()).set(count as f64);
}
