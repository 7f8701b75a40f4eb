//! Which hosts and origins are spoken to. A page in a browser can have its own name resolve to this machine and then call
//! what listens here; its requests still say the name, and where they come from.

use http::{HeaderMap, Uri, header, uri::Authority};

use crate::Error;

/// Names of this machine that nobody else can have.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The hosts and origins that are let in.
#[derive(Debug, Clone)]
pub struct Guard {
    /// None lets every host in.
    hosts: Option<Vec<String>>,
    origins: Vec<String>,
}

impl Guard {
    /// On loopback the names of this machine and the configured ones; elsewhere, where a credential keeps pages out, the
    /// configured ones or any. Of origins the configured ones alone.
    ///
    /// A host stands with or without a port; an origin as `https://app.example`, where `:*` at the end is any port.
    pub fn new(hosts: &[String], origins: &[String], is_loopback: bool) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>();
        let mut hosts = lower(hosts);
        if is_loopback {
            hosts.extend(LOCAL.map(str::to_owned));
        }
        Self { hosts: Some(hosts).filter(|hosts| !hosts.is_empty()), origins: lower(origins) }
    }

    /// Whether a request may come in.
    ///
    /// # Errors
    /// PERMISSION_DENIED, naming the header.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
        self.check_host(uri, headers)?;
        self.check_origin(headers)
    }

    /// The origin alone, where somebody before has judged the host.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Error> {
        // A client that is no browser says no origin.
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if origins.all(|origin| origin.to_str().is_ok_and(|origin| self.knows_origin(origin))) {
            return Ok(());
        }
        Err(refused("Origin"))
    }

    /// The host alone, where somebody further on judges the origin.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        if host(uri, headers).is_some_and(|host| hosts.iter().any(|known| stands_for(known, &host))) {
            return Ok(());
        }
        Err(refused("Host"))
    }

    fn knows_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.iter().any(|known| match known.strip_suffix(":*") {
            None => *known == origin,
            Some(any) => origin.strip_prefix(any).is_some_and(|port| {
                port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
            }),
        })
    }
}

fn refused(header: &str) -> Error {
    Error::permission_denied(format!("this {header} is not let in here"))
}

/// The host that the client means: HTTP/2 says it in the URI.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    match headers.get(header::HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).ok(),
        None => uri.authority().cloned(),
    }
}

/// Whether a request could mean this at all: `NAME` or `NAME:PORT`.
pub fn is_host(host: &str) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let named = name.starts_with('[') || (!name.is_empty() && name.bytes().all(plain));
    named && (name == host || (host.starts_with(name) && authority.port_u16().is_some()))
}

/// A known host without a port stands for all of its ports.
fn stands_for(known: &str, host: &Authority) -> bool {
    known.eq_ignore_ascii_case(host.host()) || known.eq_ignore_ascii_case(host.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str], origins: &[&str], is_loopback: bool) -> Guard {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Guard::new(&own(hosts), &own(origins), is_loopback)
    }

    fn admits(guard: &Guard, pairs: &[(&'static str, &str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        guard.check(&Uri::from_static("/mcp"), &headers).is_ok()
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_hosts() {
        let guard = guard(&["tools.test"], &[], true);
        for host in ["localhost", "127.0.0.1:7073", "[::1]:7073", "LOCALHOST:1", "tools.test:80"] {
            assert!(admits(&guard, &[("host", host)]), "{host}");
        }
        for host in ["evil.test", "127.0.0.1.evil.test:7073", "localhost.evil.test", "127.0.0.2", "a b", ""] {
            assert!(!admits(&guard, &[("host", host)]), "{host}");
        }
        assert!(!admits(&guard, &[]), "a request that names no host");
        let http2 = Uri::from_static("http://evil.test/mcp");
        assert!(guard.check(&http2, &HeaderMap::new()).is_err());
    }

    #[test]
    fn what_no_request_could_mean_is_no_host() {
        for host in ["tools.test", "tools.test:443", "[::1]", "[::1]:80"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "https://tools.test", "a b", "me@tools.test", "tools.test/mcp", "*.tools.test"] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn elsewhere_any_host_is_meant_unless_some_are_configured() {
        assert!(admits(&guard(&[], &[], false), &[("host", "tools.example")]));
        let named = guard(&["tools.example:443"], &[], false);
        assert!(admits(&named, &[("host", "tools.example:443")]));
        assert!(!admits(&named, &[("host", "tools.example:80")]) && !admits(&named, &[("host", "localhost")]));
    }

    #[test]
    fn a_page_comes_in_only_from_an_origin_that_is_configured() {
        let host = ("host", "localhost");
        let none = guard(&[], &[], true);
        for origin in ["http://localhost:7073", "https://evil.test", "null", ""] {
            assert!(!admits(&none, &[host, ("origin", origin)]), "{origin}");
        }
        let some = guard(&[], &["http://localhost:*", "https://app.test"], true);
        for origin in ["http://localhost:6274", "http://localhost", "https://app.test"] {
            assert!(admits(&some, &[host, ("origin", origin)]), "{origin}");
        }
        for origin in ["http://localhost.evil.test", "http://localhost:x", "https://app.test:8443", "http://app.test"] {
            assert!(!admits(&some, &[host, ("origin", origin)]), "{origin}");
        }
        assert!(!admits(&some, &[host, ("origin", "https://app.test"), ("origin", "https://evil.test")]));
    }
}
