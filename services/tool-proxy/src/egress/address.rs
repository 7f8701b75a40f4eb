//! What an address is good for, as a pure function of it.
//!
//! Sources: <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry> (both as of 2025-10-09), the multicast registries, and of
//! IPv6 only what <https://www.iana.org/assignments/ipv6-address-space> gives to global unicast, 2000::/3. Where a registry
//! calls a part of a refused block reachable (anycast and overlays such as 192.0.0.9 and 2001:20::/28), it stays refused: no
//! tool lives there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Who may be reached at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Anybody: the internet.
    Public,
    /// This machine.
    Loopback,
    /// A network of one's own: RFC 1918, unique local.
    Private,
    /// A network shared with others behind a carrier's translation: 100.64.0.0/10.
    Shared,
    /// Whoever is on the same wire.
    LinkLocal,
    /// Measuring devices.
    Benchmarking,
    /// Nobody: examples in books.
    Documentation,
    /// Whoever comes to own it, or a protocol's own.
    Reserved,
    /// An IPv4 address, through a translation or a tunnel that somebody else provides.
    Tunnel,
    /// The cloud's keys to this machine.
    Metadata,
    /// Many.
    Multicast,
    /// All on the same wire.
    Broadcast,
    /// No one, which most systems take for themselves: 0.0.0.0/8 and ::.
    Unspecified,
}

/// What it takes to be allowed, from nothing to what nothing allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Needs {
    Nothing,
    /// Any permission: for private addresses as a whole, for the host, or for the network.
    Permission,
    /// A network that is named and holds it.
    Network,
    /// Its own mention.
    Itself,
    /// It is of no use.
    Never,
}

impl Kind {
    pub(crate) const fn needs(self) -> Needs {
        match self {
            Self::Public => Needs::Nothing,
            // The last two are books' and laboratories', and in places somebody's own network.
            Self::Loopback | Self::Private | Self::Shared | Self::Benchmarking | Self::Documentation => {
                Needs::Permission
            }
            Self::LinkLocal | Self::Reserved | Self::Tunnel => Needs::Network,
            Self::Metadata => Needs::Itself,
            Self::Multicast | Self::Broadcast | Self::Unspecified => Needs::Never,
        }
    }

    /// The word in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::Benchmarking => "benchmarking",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
            Self::Tunnel => "tunnel",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unspecified => "unspecified",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().replace('_', "-"))
    }
}

/// What kind of address it is. One that only carries another (mapped, translated, tunnelled) is judged by both.
pub(crate) fn kind(address: IpAddr) -> Kind {
    match address.to_canonical() {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    let found = V4.iter().find(|(block, _)| block.contains(&address));
    found.map_or(Kind::Public, |(_, kind)| *kind)
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    let found = V6.iter().find(|(block, _)| block.contains(&address));
    let own = match found {
        Some((_, kind)) => *kind,
        None if GLOBAL_UNICAST.contains(&address) => Kind::Public,
        None => Kind::Reserved,
    };
    if matches!(own, Kind::Loopback | Kind::Unspecified) {
        return own;
    }
    carried(address).into_iter().flatten().map(kind_v4).fold(own, through)
}

/// What an address is that is one kind itself and leads to another.
fn through(own: Kind, inner: Kind) -> Kind {
    if inner == Kind::Public {
        return own;
    }
    let inner = if inner.needs() > Needs::Network { inner } else { Kind::Tunnel };
    if inner.needs() > own.needs() { inner } else { own }
}

/// The IPv4 addresses that an IPv6 address leads to: by its prefix, and by its interface.
fn carried(address: Ipv6Addr) -> [Option<Ipv4Addr>; 3] {
    let bytes = address.octets();
    let at = |start: usize| Ipv4Addr::new(bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]);
    let flipped = || Ipv4Addr::from_bits(!at(12).to_bits());
    let segments = address.segments();
    let (first, second) = match segments {
        // IPv4-compatible (RFC 4291, 2.5.5.1) and IPv4-translated (RFC 2765, 2.1).
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => (Some(at(12)), None),
        // NAT64 (RFC 6052, 2.1), and of one's own with the usual length of prefix (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => (Some(at(12)), None),
        // 6to4 (RFC 3056, 2).
        [0x2002, ..] => (Some(at(2)), None),
        // Teredo: its server, and its client with every bit flipped (RFC 4380, 4).
        [0x2001, 0, ..] => (Some(at(4)), Some(flipped())),
        _ => (None, None),
    };
    // ISATAP, below any prefix (RFC 5214, 6.1).
    let isatap = matches!(segments, [_, _, _, _, 0 | 0x200, 0x5efe, ..]).then(|| at(12));
    [first, second, isatap]
}

const fn v4(at: [u8; 4], length: u8, kind: Kind) -> (Ipv4Net, Kind) {
    (Ipv4Net::new_assert(Ipv4Addr::new(at[0], at[1], at[2], at[3]), length), kind)
}

/// The first that fits.
#[rustfmt::skip]
const V4: [(Ipv4Net, Kind); 27] = [
    // AWS, Azure, Google, OpenStack and most others.
    v4([169, 254, 169, 254], 32, Kind::Metadata),
    // AWS: credentials of ECS tasks and of EKS pods.
    v4([169, 254, 170, 2], 32, Kind::Metadata),
    v4([169, 254, 170, 23], 32, Kind::Metadata),
    // Scaleway, Tencent, Alibaba, Oracle Classic, and Azure's host (a public address).
    v4([169, 254, 42, 42], 32, Kind::Metadata),
    v4([169, 254, 0, 23], 32, Kind::Metadata),
    v4([100, 100, 100, 200], 32, Kind::Metadata),
    v4([192, 0, 0, 192], 32, Kind::Metadata),
    v4([168, 63, 129, 16], 32, Kind::Metadata),
    v4([0, 0, 0, 0], 8, Kind::Unspecified),          // RFC 791, 3.2
    v4([10, 0, 0, 0], 8, Kind::Private),             // RFC 1918
    v4([100, 64, 0, 0], 10, Kind::Shared),           // RFC 6598
    v4([127, 0, 0, 0], 8, Kind::Loopback),           // RFC 1122, 3.2.1.3
    v4([169, 254, 0, 0], 16, Kind::LinkLocal),       // RFC 3927
    v4([172, 16, 0, 0], 12, Kind::Private),          // RFC 1918
    v4([192, 0, 0, 0], 24, Kind::Reserved),          // RFC 6890, 2.1
    v4([192, 0, 2, 0], 24, Kind::Documentation),     // RFC 5737
    v4([192, 31, 196, 0], 24, Kind::Reserved),       // RFC 7535: AS112
    v4([192, 52, 193, 0], 24, Kind::Tunnel),         // RFC 7450: AMT
    v4([192, 88, 99, 0], 24, Kind::Tunnel),          // RFC 7526: relays of 6to4
    v4([192, 168, 0, 0], 16, Kind::Private),         // RFC 1918
    v4([192, 175, 48, 0], 24, Kind::Reserved),       // RFC 7534: AS112
    v4([198, 18, 0, 0], 15, Kind::Benchmarking),     // RFC 2544
    v4([198, 51, 100, 0], 24, Kind::Documentation),  // RFC 5737
    v4([203, 0, 113, 0], 24, Kind::Documentation),   // RFC 5737
    v4([224, 0, 0, 0], 4, Kind::Multicast),          // RFC 5771
    v4([255, 255, 255, 255], 32, Kind::Broadcast),   // RFC 919, 7
    v4([240, 0, 0, 0], 4, Kind::Reserved),           // RFC 1112, 4
];

const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

const fn v6(at: [u16; 3], last: u16, length: u8, kind: Kind) -> (Ipv6Net, Kind) {
    (Ipv6Net::new_assert(Ipv6Addr::new(at[0], at[1], at[2], 0, 0, 0, 0, last), length), kind)
}

/// The first that fits; what fits none must be global unicast.
#[rustfmt::skip]
const V6: [(Ipv6Net, Kind); 21] = [
    // AWS, its EKS pods, Google, Scaleway; OpenStack's has the bytes of 169.254.169.254 on the link.
    v6([0xfd00, 0xec2, 0], 0x254, 128, Kind::Metadata),
    v6([0xfd00, 0xec2, 0], 0x23, 128, Kind::Metadata),
    v6([0xfd20, 0xce, 0], 0x254, 128, Kind::Metadata),
    v6([0xfd00, 0x42, 0], 0x42, 128, Kind::Metadata),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128), Kind::Metadata),
    v6([0, 0, 0], 1, 128, Kind::Loopback),                    // RFC 4291, 2.5.3
    v6([0, 0, 0], 0, 128, Kind::Unspecified),                 // RFC 4291, 2.5.2
    v6([0, 0, 0], 0, 64, Kind::Tunnel),                       // RFC 4291, 2.5.5: compatible; RFC 2765: translated
    v6([0x64, 0xff9b, 1], 0, 48, Kind::Tunnel),               // RFC 8215
    v6([0x64, 0xff9b, 0], 0, 96, Kind::Public),               // RFC 6052: whatever it carries
    v6([0x2001, 0, 0], 0, 32, Kind::Tunnel),                  // RFC 4380: Teredo
    v6([0x2001, 2, 0], 0, 48, Kind::Benchmarking),            // RFC 5180
    v6([0x2001, 0, 0], 0, 23, Kind::Reserved),                // RFC 2928
    v6([0x2001, 0xdb8, 0], 0, 32, Kind::Documentation),       // RFC 3849
    v6([0x2002, 0, 0], 0, 16, Kind::Tunnel),                  // RFC 3056: 6to4
    v6([0x2620, 0x4f, 0x8000], 0, 48, Kind::Reserved),        // RFC 7534: AS112
    v6([0x3fff, 0, 0], 0, 20, Kind::Documentation),           // RFC 9637
    v6([0xfc00, 0, 0], 0, 7, Kind::Private),                  // RFC 4193
    v6([0xfe80, 0, 0], 0, 10, Kind::LinkLocal),               // RFC 4291, 2.5.6
    v6([0xfec0, 0, 0], 0, 10, Kind::Reserved),                // RFC 3879: site-local
    v6([0xff00, 0, 0], 0, 8, Kind::Multicast),                // RFC 4291, 2.7
];

#[cfg(test)]
mod tests;
