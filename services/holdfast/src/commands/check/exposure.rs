//! What strangers could reach: a listener off loopback needs TLS, the mesh credential, the key of leases and, at the
//! gateway, callers' keys. The services refuse to start without; here it is told beforehand.

use std::net::{IpAddr, SocketAddr};

use holdfast_config::{Common, ConfigError, Document, Invalid, Peer};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The part of a service's section that says where it listens, and the gateway's keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listener {
    address: Option<String>,
    keys: Option<IgnoredAny>,
}

/// Listeners that would refuse to start. Sections that cannot be read are told of elsewhere.
pub(super) fn problems(document: &Document) -> Vec<ConfigError> {
    let Ok(common) = Common::from_document(document) else { return Vec::new() };
    let mut problems = Vec::new();
    for peer in Peer::ALL {
        let Ok(listener) = document.section::<Listener>(peer.section()) else { continue };
        let Some(address) = &listener.address else { continue };
        let missing = match () {
            () if is_loopback(address) => continue,
            () if common.tls.is_none() => "a [tls] section",
            () if common.mesh.credential.is_none() => "mesh.credential",
            () if common.mesh.lease_key.is_none() => "mesh.lease_key",
            () if peer == Peer::Gateway && listener.keys.is_none() => "callers' keys ([[gateway.keys]])",
            () => continue,
        };
        let why = format!("{address} is not loopback: that needs {missing}; add it, or listen on 127.0.0.1");
        problems.push(document.locate(Invalid::new(format!("{}.address", peer.section()), why)));
    }
    problems
}

/// Names are left to the service itself: what they stand for is known where it runs.
fn is_loopback(address: &str) -> bool {
    let ip = address.parse::<SocketAddr>().map(|socket| socket.ip());
    ip.map_or(true, |ip: IpAddr| ip.is_loopback())
}
