//! `[tool_proxy.egress]`: what may be reached besides the internet.

use std::net::IpAddr;

use holdfast_config::Invalid;
use ipnet::IpNet;
use serde::Deserialize;

use super::address::{Kind, Needs};

/// `[tool_proxy.egress]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Networks that may be reached though they are not public, such as "10.1.0.0/16".
    pub allow_private: Vec<String>,
    /// Hosts whose names may lead to private addresses, such as "orders.internal" or "*.svc.cluster.local".
    pub allow_hosts: Vec<String>,
}

/// The same, as it is asked.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    networks: Vec<IpNet>,
    hosts: Vec<Pattern>,
}

#[derive(Debug)]
enum Pattern {
    Host(String),
    /// With the dot: `.svc.cluster.local`.
    Under(String),
}

impl Allowed {
    pub(super) fn new(settings: &Settings) -> Result<Self, Invalid> {
        let invalid = |key: &str, why| Invalid::new(format!("tool_proxy.egress.{key}"), why);
        let networks = settings.allow_private.iter().map(|text| network(text));
        let hosts = settings.allow_hosts.iter().map(|text| pattern(text));
        Ok(Self {
            networks: networks.collect::<Result<_, _>>().map_err(|why| invalid("allow_private", why))?,
            hosts: hosts.collect::<Result<_, _>>().map_err(|why| invalid("allow_hosts", why))?,
        })
    }

    /// Whether an address of this kind may be reached; `permitted` where that is said of its host already.
    pub(super) fn admits(&self, address: IpAddr, kind: Kind, permitted: bool) -> bool {
        let address = address.to_canonical();
        let mut networks = self.networks.iter();
        match kind.needs() {
            Needs::Nothing => true,
            Needs::Permission => permitted || networks.any(|network| network.contains(&address)),
            Needs::Network => networks.any(|network| network.contains(&address)),
            Needs::Itself => networks.any(|network| *network == IpNet::from(address)),
            Needs::Never => false,
        }
    }

    /// Whether a host's name may lead to private addresses.
    pub(super) fn names(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.hosts.iter().any(|pattern| match pattern {
            Pattern::Host(name) => name == host,
            Pattern::Under(end) => host.ends_with(end) && host.len() > end.len(),
        })
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    match network {
        None => Err(format!("{text:?} is not a network: write \"10.1.0.0/16\" or \"fd12:3456::/32\"")),
        Some(network) if network.addr() != network.network() => {
            Err(format!("{text:?} has bits behind its prefix: write \"{}\"", network.trunc()))
        }
        Some(network) if network.prefix_len() == 0 => Err(format!("{text:?} names every address: name your networks")),
        // Addresses that carry IPv4 ones are asked for as these.
        Some(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => {
            Err(format!("{text:?} stands for IPv4 addresses: name these"))
        }
        Some(network) => Ok(network),
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let (under, name) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let fits = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let numeric = name.rsplit('.').next().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_digit()));
    if numeric || !name.split('.').all(fits) {
        return Err(format!(
            "{text:?} is not the name of a host: write \"orders.internal\" or \"*.svc.cluster.local\", without scheme and port"
        ));
    }
    let name = name.to_ascii_lowercase();
    Ok(if under { Pattern::Under(format!(".{name}")) } else { Pattern::Host(name) })
}

#[cfg(test)]
mod tests {
    use super::super::address::kind;
    use super::*;

    fn allowed(networks: &[&str], hosts: &[&str]) -> Result<Allowed, Invalid> {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Allowed::new(&Settings { allow_private: owned(networks), allow_hosts: owned(hosts) })
    }

    fn admits(allowed: &Allowed, address: &str, permitted: bool) -> bool {
        let address = address.parse().expect("an address");
        allowed.admits(address, kind(address), permitted)
    }

    #[test]
    fn a_permission_opens_private_addresses_a_network_what_it_holds_and_nothing_the_rest() {
        let none = Allowed::default();
        let some = allowed(&["10.1.0.0/16", "169.254.0.0/16", "fd00::/8", "64:ff9b::/96", "224.0.0.0/4"], &[])
            .expect("they are networks");
        let metadata = allowed(&["169.254.169.254", "fd00:ec2::254/128"], &[]).expect("they are addresses");
        // Address; to nobody named but permitted, to named networks, to named metadata services.
        let cases = [
            ("8.8.8.8", [true, true, true]),
            ("127.0.0.1", [true, false, false]),
            ("10.1.2.3", [true, true, false]),
            ("::ffff:10.1.2.3", [true, true, false]),
            ("10.2.0.0", [true, false, false]),
            ("192.0.2.1", [true, false, false]),
            ("198.18.0.1", [true, false, false]),
            ("240.0.0.1", [false, false, false]),
            ("100.64.0.1", [true, false, false]),
            ("fd12::1", [true, true, false]),
            ("169.254.1.1", [false, true, false]),
            ("169.254.169.254", [false, false, true]),
            ("::ffff:169.254.169.254", [false, false, true]),
            ("64:ff9b::169.254.169.254", [false, false, false]),
            ("64:ff9b::10.0.0.1", [false, true, false]),
            ("64:ff9b::8.8.8.8", [true, true, true]),
            ("fd00:ec2::254", [false, false, true]),
            ("224.0.0.1", [false, false, false]),
            ("0.0.0.0", [false, false, false]),
        ];
        for (address, expected) in cases {
            let found =
                [admits(&none, address, true), admits(&some, address, false), admits(&metadata, address, false)];
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn a_host_is_known_by_its_whole_name_or_by_what_it_stands_under() {
        let allowed = allowed(&[], &["Orders.internal", "*.svc.cluster.local"]).expect("they are names");
        for host in ["orders.internal", "orders.internal.", "a.svc.cluster.local", "a.b.svc.cluster.local"] {
            assert!(allowed.names(host), "{host}");
        }
        for host in
            ["internal", "x.orders.internal", "svc.cluster.local", ".svc.cluster.local", "evilsvc.cluster.local", ""]
        {
            assert!(!allowed.names(host), "{host}");
        }
    }

    #[test]
    fn what_is_no_network_or_no_host_is_refused_with_its_key() {
        for text in ["10.1.0.1/16", "10.0.0.0/33", "0.0.0.0/0", "::/0", "::ffff:10.0.0.0/104", "x", ""] {
            let invalid = allowed(&[text], &[]).expect_err(text);
            assert_eq!(invalid.key, "tool_proxy.egress.allow_private", "{text}");
        }
        for text in ["http://a.b", "a.b:80", "*", "*.", "a.*.b", "10.0.0.1", "a.b.", "[::1]", "", "a b"] {
            let invalid = allowed(&[], &[text]).expect_err(text);
            assert_eq!(invalid.key, "tool_proxy.egress.allow_hosts", "{text}");
        }
    }
}
