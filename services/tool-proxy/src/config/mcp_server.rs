use axum::http::Uri;
use holdfast_config::Invalid;
use holdfast_rpc::web::is_host;
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

impl McpServer {
    /// Checks that every entry can be met by a request at all.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            let why = format!("{host:?} is no host: write it as NAME or NAME:PORT");
            return Err(Invalid::new("tool_proxy.mcp.hosts", why));
        }
        if let Some(origin) = self.origins.iter().find(|origin| !is_origin(origin)) {
            let why = format!("{origin:?} is no origin: write it as https://NAME, https://NAME:PORT or https://NAME:*");
            return Err(Invalid::new("tool_proxy.mcp.origins", why));
        }
        Ok(())
    }
}

fn is_origin(origin: &str) -> bool {
    let origin = origin.strip_suffix(":*").unwrap_or(origin);
    let Ok(uri) = Uri::try_from(origin) else { return false };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.authority()) else { return false };
    matches!(scheme, "http" | "https")
        && is_host(host.as_str())
        && origin.len() == scheme.len() + 3 + host.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(hosts: &[&str], origins: &[&str]) -> Result<(), Invalid> {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        McpServer { hosts: own(hosts), origins: own(origins) }.check()
    }

    #[test]
    fn what_no_request_could_say_is_refused() {
        assert!(with(&["tools.test", "tools.test:443", "[::1]"], &["https://a.test", "http://a.test:8080"]).is_ok());
        assert!(with(&[], &["http://localhost:*"]).is_ok());
        for host in ["", "https://tools.test", "a b", "me@tools.test", "tools.test/mcp"] {
            assert_eq!(with(&[host], &[]).expect_err(host).key, "tool_proxy.mcp.hosts");
        }
        for origin in
            ["", "a.test", "https://a.test/", "https://a.test/x", "ftp://a.test", "null", "https://*.a.test:*:*"]
        {
            assert_eq!(with(&[], &[origin]).expect_err(origin).key, "tool_proxy.mcp.origins");
        }
    }
}
