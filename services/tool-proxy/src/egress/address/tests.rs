use proptest::prelude::*;

use super::*;

fn of(address: &str) -> Kind {
    kind(address.parse().expect("an address"))
}

/// Each block by its first and last address, and the public ones just beside it.
#[test]
fn each_block_begins_and_ends_where_its_registry_says() {
    use Kind::*;
    let cases = [
        ("1.0.0.0", Public),
        ("0.0.0.0", Unspecified),
        ("0.255.255.255", Unspecified),
        ("9.255.255.255", Public),
        ("10.0.0.0", Private),
        ("10.255.255.255", Private),
        ("11.0.0.0", Public),
        ("100.63.255.255", Public),
        ("100.64.0.0", Shared),
        ("100.127.255.255", Shared),
        ("100.128.0.0", Public),
        ("100.100.100.200", Metadata),
        ("126.255.255.255", Public),
        ("127.0.0.0", Loopback),
        ("127.255.255.255", Loopback),
        ("128.0.0.0", Public),
        ("168.63.129.16", Metadata),
        ("168.63.129.17", Public),
        ("169.253.255.255", Public),
        ("169.254.0.0", LinkLocal),
        ("169.254.169.253", LinkLocal),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("169.254.255.255", LinkLocal),
        ("169.255.0.0", Public),
        ("172.15.255.255", Public),
        ("172.16.0.0", Private),
        ("172.31.255.255", Private),
        ("172.32.0.0", Public),
        ("192.0.0.0", Reserved),
        ("192.0.0.192", Metadata),
        ("192.0.1.0", Public),
        ("192.0.2.255", Documentation),
        ("192.88.99.1", Tunnel),
        ("192.167.255.255", Public),
        ("192.168.0.0", Private),
        ("192.168.255.255", Private),
        ("192.169.0.0", Public),
        ("198.17.255.255", Public),
        ("198.18.0.0", Benchmarking),
        ("198.19.255.255", Benchmarking),
        ("198.20.0.0", Public),
        ("198.51.100.0", Documentation),
        ("203.0.113.255", Documentation),
        ("223.255.255.255", Public),
        ("224.0.0.0", Multicast),
        ("239.255.255.255", Multicast),
        ("240.0.0.0", Reserved),
        ("255.255.255.254", Reserved),
        ("255.255.255.255", Broadcast),
        ("::", Unspecified),
        ("::1", Loopback),
        ("::2", Unspecified),
        ("::8.8.8.8", Tunnel),
        ("::ffff:8.8.8.8", Public),
        ("::ffff:0:8.8.8.8", Tunnel),
        ("64:ff9b::8.8.8.8", Public),
        ("64:ff9b:1::8.8.8.8", Tunnel),
        ("100::1", Reserved),
        ("1fff:ffff::", Reserved),
        ("2000::", Public),
        ("2001:0:808:808::f7f7:f7f7", Tunnel),
        ("2001::", Unspecified),
        ("2001:1::1", Reserved),
        ("2001:2::1", Benchmarking),
        ("2001:1ff:ffff::", Reserved),
        ("2001:200::", Public),
        ("2001:db8::1", Documentation),
        ("2001:db9::1", Public),
        ("2002:808:808::", Tunnel),
        ("2003::", Public),
        ("2606:4700:4700::1111", Public),
        ("3ffe:ffff::", Public),
        ("3fff::", Documentation),
        ("3fff:fff:ffff::", Documentation),
        ("3fff:1000::", Public),
        ("4000::", Reserved),
        ("5f00::1", Reserved),
        ("fbff:ffff::", Reserved),
        ("fc00::", Private),
        ("fdff:ffff::1", Private),
        ("fd00:ec2::254", Metadata),
        ("fd20:ce::254", Metadata),
        ("fe00::", Reserved),
        ("fe80::1", LinkLocal),
        ("fe80::a9fe:a9fe", Metadata),
        ("febf:ffff::", LinkLocal),
        ("fec0::1", Reserved),
        ("feff:ffff::", Reserved),
        ("ff00::", Multicast),
        ("ff02::1", Multicast),
    ];
    for (address, expected) in cases {
        assert_eq!(of(address), expected, "{address}");
    }
}

#[test]
fn what_carries_another_address_is_no_easier_to_allow_than_it() {
    let cases = [
        ("::ffff:10.0.0.1", Kind::Private),
        ("::ffff:169.254.169.254", Kind::Metadata),
        ("::127.0.0.1", Kind::Tunnel),
        ("::169.254.169.254", Kind::Metadata),
        ("64:ff9b::127.0.0.1", Kind::Tunnel),
        ("64:ff9b::0.0.0.0", Kind::Unspecified),
        ("64:ff9b::169.254.169.254", Kind::Metadata),
        ("64:ff9b:1::169.254.169.254", Kind::Metadata),
        ("2002:a9fe:a9fe::1", Kind::Metadata),
        ("2002:7f00:1::", Kind::Tunnel),
        // Teredo with a client at 169.254.169.254, and with a server there.
        ("2001:0:808:808::5601:5601", Kind::Metadata),
        ("2001:0:a9fe:a9fe::f7f7:f7f7", Kind::Metadata),
        ("2606:4700::5efe:10.0.0.1", Kind::Tunnel),
        ("2606:4700::200:5efe:169.254.169.254", Kind::Metadata),
        ("2606:4700::5efe:8.8.8.8", Kind::Public),
        ("fd00::5efe:8.8.8.8", Kind::Private),
        ("fd00::5efe:10.0.0.1", Kind::Tunnel),
    ];
    for (address, expected) in cases {
        assert_eq!(of(address), expected, "{address}");
    }
}

/// What is not public by plain arithmetic, written down a second time.
fn special(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    a == 0
        || a == 10
        || a == 127
        || a >= 224
        || (a == 100 && b & 0xc0 == 64)
        || (a == 169 && b == 254)
        || (a == 172 && b & 0xf0 == 16)
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && matches!(c, 0 | 2))
        || matches!([a, b, c], [192, 31, 196] | [192, 52, 193] | [192, 88, 99] | [192, 175, 48])
        || matches!([a, b, c], [198, 51, 100] | [203, 0, 113])
        || (a == 198 && b & 0xfe == 18)
        || [a, b, c, d] == [168, 63, 129, 16]
}

/// Any address, and often one of a block.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let block = (0..V4.len(), any::<u32>()).prop_map(|(block, host)| {
        let (net, _) = V4[block];
        Ipv4Addr::from_bits(net.network().to_bits() | (host & net.hostmask().to_bits()))
    });
    prop_oneof![any::<u32>().prop_map(Ipv4Addr::from_bits), block]
}

fn with(head: [u16; 6], address: Ipv4Addr) -> IpAddr {
    let [a, b, c, d, e, f] = head;
    let bits = Ipv6Addr::new(a, b, c, d, e, f, 0, 0).to_bits() | u128::from(address.to_bits());
    Ipv6Addr::from_bits(bits).into()
}

proptest! {
    #[test]
    fn an_address_is_public_where_plain_arithmetic_says_so(address in any_v4()) {
        prop_assert_eq!(kind(address.into()) == Kind::Public, !special(address));
    }

    #[test]
    fn a_mapped_address_is_the_address(address in any_v4()) {
        prop_assert_eq!(kind(address.to_ipv6_mapped().into()), kind(address.into()));
    }

    #[test]
    fn no_wrapping_makes_an_address_easier_to_reach(address in any_v4(), prefix in any::<u64>(), low in any::<u64>()) {
        let inner = kind(address.into()).needs();
        let bits = u128::from(address.to_bits());
        let prefix = u128::from(prefix) << 64;
        let wrapped: [IpAddr; 8] = [
            with([0; 6], address),
            with([0, 0, 0, 0, 0xffff, 0], address),
            with([0x64, 0xff9b, 0, 0, 0, 0], address),
            with([0x64, 0xff9b, 1, 0, 0, 0], address),
            Ipv6Addr::from_bits(0x2002 << 112 | bits << 80 | u128::from(low)).into(),
            Ipv6Addr::from_bits(0x2001 << 112 | bits << 64 | u128::from(low)).into(),
            Ipv6Addr::from_bits(0x2001 << 112 | u128::from(low) << 32 | u128::from(!address.to_bits())).into(),
            Ipv6Addr::from_bits(prefix | 0x5efe << 32 | bits).into(),
        ];
        for wrapped in wrapped {
            // `::1` is the one that is its own, and the IPv4 address 0.0.0.1 nobody's.
            if wrapped != IpAddr::V6(Ipv6Addr::LOCALHOST) {
                prop_assert!(kind(wrapped).needs() >= inner, "{} in {}", address, wrapped);
            }
        }
    }

    #[test]
    fn nothing_outside_of_global_unicast_is_public_but_what_carries_public_ipv4(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        if kind(address.into()) == Kind::Public {
            prop_assert!(bits >> 125 == 1 || address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]);
        }
    }
}
