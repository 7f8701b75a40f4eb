//! The one place where clients that leave the mesh come from. Each is for one scheme, host and port, and cannot be brought
//! to reach anything else: not by a redirect, a proxy of the environment, a name that changes its mind, or whoever holds it.
//!
//! | what is asked for | who stops it |
//! | --- | --- |
//! | a written address (`http://10.0.0.1/`) that is not allowed | [`Egress::check`], when the configuration is read |
//! | a name that leads, even among others, to such an address | the client's resolver, at each new connection |
//! | another scheme, host or port | [`Client::execute`] before; in a library's hands the client's own connector |
//! | a redirect | not followed, or only to the same scheme, host and port |
//!
//! An address is judged by its kind (`address.rs`), against what the operator permitted (`settings.rs`):
//!
//! | kind | opened by |
//! | --- | --- |
//! | public | nothing is needed |
//! | loopback, private, shared, benchmarking, documentation | the tool's url where it names just that address, or `localhost` for loopback; its `allow_private`; `allow_hosts`; `allow_private` in `[tool_proxy.egress]` |
//! | link-local, reserved, tunnels | a network of `[tool_proxy.egress] allow_private` that holds it |
//! | metadata of a cloud | its own mention there, as an address |
//! | multicast, broadcast, unspecified | nothing |

mod address;
mod client;
mod guard;
mod names;
mod refusal;
mod settings;

use std::fmt;
use std::sync::Arc;

use holdfast_config::Invalid;
use reqwest::dns::Resolve;
use reqwest::header::{self, HeaderName};

pub(crate) use self::client::{Client, ClientSettings, Failed};
use self::guard::Guard;
use self::names::System;
pub(crate) use self::refusal::Refusal;
use self::settings::Allowed;
pub use self::settings::Settings;

/// What may be reached, and who is asked for names.
#[derive(Clone)]
pub(crate) struct Egress {
    allowed: Arc<Allowed>,
    names: Arc<dyn Resolve>,
}

impl Egress {
    /// By the operator's word, with the system's resolver.
    ///
    /// # Errors
    /// A setting that does not hold, by its key.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Invalid> {
        Ok(Self { allowed: Arc::new(Allowed::new(settings)?), names: Arc::new(System) })
    }

    /// With another resolver. What it answers is guarded just so.
    pub(crate) fn with_names(self, names: Arc<dyn Resolve>) -> Self {
        Self { names, ..self }
    }

    /// Whether a URL, as it is written in a configuration, can be a client's. Names are not resolved for that.
    pub(crate) fn check(&self, url: &str, allow_private: bool) -> Result<(), Refusal> {
        self.guard("", url, allow_private).map(drop)
    }

    fn guard(&self, name: &str, url: &str, allow_private: bool) -> Result<Guard, Refusal> {
        Guard::new(name, url, allow_private, Arc::clone(&self.allowed))
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// Whether a header belongs to the connection or says where a request goes: nobody sets these but the client itself.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [HeaderName; 11] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    RESERVED.contains(name) || name.as_str().starts_with("proxy-")
}

#[cfg(test)]
mod tests;
