//! Why something is not reached, in words that say what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;

use super::address::{Kind, Needs};

/// What was not reached, and why. Nothing was sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a URL of http or https with a host.
    NotWeb(String),
    /// A URL that carries a user or a password.
    Userinfo,
    /// A host that is written otherwise than it is meant; the plain form.
    Disguised(String),
    /// An address that nobody permitted.
    Address { host: String, address: IpAddr, kind: Kind },
    /// Another scheme, host or port than the configured one.
    Elsewhere(String),
    /// The same, where an answer led.
    Redirected(String),
}

impl Refusal {
    /// The word in metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NotWeb(_) | Self::Userinfo | Self::Disguised(_) => "url",
            Self::Address { kind, .. } => kind.name(),
            Self::Elsewhere(_) => "elsewhere",
            Self::Redirected(_) => "redirect",
        }
    }

    /// Whether a request was answered before: by what leads elsewhere.
    pub(crate) const fn is_redirected(&self) -> bool {
        matches!(self, Self::Redirected(_))
    }

    /// The refusal that is the cause of an error, also where it travels within an `io::Error`, which passes it over.
    pub(crate) fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(refusal) = error.downcast_ref().or_else(|| within?.downcast_ref()) {
                return Some(refusal);
            }
            cause = error.source();
        }
        None
    }
}

impl Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWeb(url) => write!(f, "{url:?} is not a URL of http, https (with a host) or simulator:/path"),
            Self::Userinfo => f.write_str(
                "must not carry a user or a password: write secret_headers = { authorization = \"env:NAME\" } or bearer",
            ),
            Self::Disguised(plain) => write!(f, "must name its host as it is meant: {plain:?}"),
            Self::Address { host, address, kind } => address_refused(f, host, *address, *kind),
            Self::Elsewhere(place) => write!(f, "{place} is not the configured scheme, host and port"),
            Self::Redirected(place) => {
                write!(f, "the answer leads to {place}, which is not the configured scheme, host and port")
            }
        }
    }
}

fn address_refused(f: &mut fmt::Formatter<'_>, host: &str, address: IpAddr, kind: Kind) -> fmt::Result {
    let subject = if host == address.to_string() { host.to_owned() } else { format!("{host} is {address}, which") };
    write!(f, "{subject} is a {kind} address, which is not allowed")?;
    match kind.needs() {
        Needs::Nothing | Needs::Never => Ok(()),
        Needs::Permission => f.write_str(
            ": where that is meant, write allow_private = true for it, or allow its host or network in \
             [tool_proxy.egress]",
        ),
        Needs::Network => f.write_str(": where that is meant, allow its network in [tool_proxy.egress]"),
        Needs::Itself => {
            write!(f, ": where that is meant, write allow_private = [\"{address}\"] in [tool_proxy.egress]")
        }
    }
}
