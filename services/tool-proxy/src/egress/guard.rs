//! What one client may reach: a scheme, a host, a port, and of the host's addresses those that are allowed.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Url;
use tracing::warn;

use super::address::{Kind, kind};
use super::refusal::Refusal;
use super::settings::Allowed;
use crate::metrics;

/// So many different refusals of one client are told in the log; all are counted.
const TOLD_MAX: usize = 32;

/// The limits of one client.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whose it is, for logs and metrics.
    name: String,
    home: Url,
    allowed: Arc<Allowed>,
    /// Whether private addresses are permitted to it as a whole.
    allow_private: bool,
    told: Mutex<HashSet<String>>,
}

impl Guard {
    /// The guard of a URL as it was written. Where its host is an address, that is judged here and now.
    pub(super) fn new(name: &str, url: &str, allow_private: bool, allowed: Arc<Allowed>) -> Result<Self, Refusal> {
        let home = plain(url)?;
        let guard = Self { name: name.into(), home, allowed, allow_private, told: Mutex::default() };
        match guard.literal() {
            // An IPv4 address in the clothes of an IPv6 one.
            Some(address) if address != address.to_canonical() => {
                Err(Refusal::Disguised(format!("{}://{}", guard.home.scheme(), address.to_canonical())))
            }
            // Whoever wrote the address has permitted it.
            Some(address) => guard.admit(address, true).map(|()| guard),
            None => Ok(guard),
        }
    }

    pub(super) fn home(&self) -> &Url {
        &self.home
    }

    /// Whether a URL is of the configured scheme, host and port, and carries no credentials.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        url.scheme() == self.home.scheme()
            && url.host_str() == self.home.host_str()
            && url.port_or_known_default() == self.home.port_or_known_default()
            && !has_userinfo(url)
    }

    /// Refuses what was resolved if any of it is refused: an honest name has no such mixture, and which address would be
    /// tried first is chance, or the doing of whoever answers for the name.
    pub(super) fn admit_all(&self, found: &[SocketAddr]) -> Result<(), Refusal> {
        found.iter().try_for_each(|found| self.admit(found.ip(), false))
    }

    fn admit(&self, address: IpAddr, written: bool) -> Result<(), Refusal> {
        let (host, kind) = (self.home.host_str().unwrap_or_default(), kind(address));
        let localhost = host == "localhost" && kind == Kind::Loopback;
        let permitted = written || localhost || self.allow_private || self.allowed.names(host);
        if self.allowed.admits(address, kind, permitted) {
            return Ok(());
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        Err(Refusal::Address { host, address: address.to_canonical(), kind })
    }

    /// The host, where it is an address.
    fn literal(&self) -> Option<IpAddr> {
        self.home.host_str()?.trim_matches(['[', ']']).parse().ok()
    }

    /// Counts a refusal, and tells each once.
    pub(super) fn refused(&self, refusal: Refusal) -> Refusal {
        metrics::egress_refused(&self.name, refusal.reason());
        let mut told = self.told.lock();
        let text = refusal.to_string();
        if told.len() < TOLD_MAX && !told.contains(&text) {
            warn!(name = %self.name, reason = refusal.reason(), "not reached: {text}");
            told.insert(text);
        }
        refusal
    }
}

/// A URL whose host is written as it is meant. A browser reads `http://2130706433/`, `http://0x7f.1/` and full-width letters
/// as hosts too: whoever writes these in a configuration hides something, or does not know what they do.
fn plain(text: &str) -> Result<Url, Refusal> {
    // What may be secret is not repeated: a password, or what stands in a query.
    let not_web = || Refusal::NotWeb(text.split('?').next().unwrap_or_default().to_owned());
    let url = Url::parse(text).map_err(|_| if text.contains('@') { Refusal::Userinfo } else { not_web() })?;
    if has_userinfo(&url) {
        return Err(Refusal::Userinfo);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(not_web)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(not_web());
    }
    let start = format!("{}://{host}", url.scheme());
    let rest = text.get(start.len()..).filter(|_| text[..start.len()].eq_ignore_ascii_case(&start));
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with([':', '/', '?', '#']) => Ok(url),
        _ => Err(Refusal::Disguised(start)),
    }
}

fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests;
