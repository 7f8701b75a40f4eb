//! Names that lead to addresses, in every form that an address has.

use serde_json::json;

use super::{SETTINGS, refused};
use crate::harness::{Harness, tool};
use crate::names::Names;
use crate::tool_server::ToolServer;

/// What a name leads to. Each alone must be refused.
const FORBIDDEN: [(&str, &[&str]); 62] = [
    ("loopback", &["127.0.0.1"]),
    ("loopback-first", &["127.0.0.0"]),
    ("loopback-last", &["127.255.255.255"]),
    ("loopback-v6", &["::1"]),
    ("unspecified", &["0.0.0.0"]),
    ("this-network", &["0.1.2.3"]),
    ("unspecified-v6", &["::"]),
    ("private-10", &["10.0.0.1"]),
    ("private-10-last", &["10.255.255.255"]),
    ("private-172-first", &["172.16.0.0"]),
    ("private-172-last", &["172.31.255.255"]),
    ("private-192", &["192.168.1.1"]),
    ("shared", &["100.64.0.1"]),
    ("shared-last", &["100.127.255.255"]),
    ("link-local", &["169.254.1.1"]),
    ("link-local-v6", &["fe80::1"]),
    ("metadata", &["169.254.169.254"]),
    ("metadata-ecs", &["169.254.170.2"]),
    ("metadata-eks", &["169.254.170.23"]),
    ("metadata-alibaba", &["100.100.100.200"]),
    ("metadata-oracle", &["192.0.0.192"]),
    ("metadata-azure-host", &["168.63.129.16"]),
    ("metadata-aws-v6", &["fd00:ec2::254"]),
    ("metadata-eks-v6", &["fd00:ec2::23"]),
    ("metadata-google-v6", &["fd20:ce::254"]),
    ("metadata-openstack-v6", &["fe80::a9fe:a9fe"]),
    ("protocol-assignments", &["192.0.0.8"]),
    ("documentation-1", &["192.0.2.1"]),
    ("documentation-2", &["198.51.100.1"]),
    ("documentation-3", &["203.0.113.1"]),
    ("documentation-v6", &["2001:db8::1"]),
    ("documentation-v6-new", &["3fff::1"]),
    ("benchmarking", &["198.18.0.1"]),
    ("benchmarking-v6", &["2001:2::1"]),
    ("multicast", &["224.0.0.1"]),
    ("multicast-last", &["239.255.255.255"]),
    ("multicast-v6", &["ff02::1"]),
    ("reserved", &["240.0.0.1"]),
    ("broadcast", &["255.255.255.255"]),
    ("relays", &["192.88.99.1"]),
    ("unique-local", &["fc00::1"]),
    ("unique-local-fd", &["fd12:3456:789a::1"]),
    ("site-local", &["fec0::1"]),
    ("discard", &["100::1"]),
    ("segments", &["5f00::1"]),
    ("orchid", &["2001:20::1"]),
    ("unassigned-v6", &["4000::1"]),
    ("mapped-loopback", &["::ffff:127.0.0.1"]),
    ("mapped-private", &["::ffff:10.0.0.1"]),
    ("mapped-metadata", &["::ffff:169.254.169.254"]),
    ("compatible-loopback", &["::127.0.0.1"]),
    ("compatible-metadata", &["::169.254.169.254"]),
    ("translated-loopback", &["::ffff:0:127.0.0.1"]),
    ("nat64-loopback", &["64:ff9b::127.0.0.1"]),
    ("nat64-metadata", &["64:ff9b::169.254.169.254"]),
    ("nat64-own-private", &["64:ff9b:1::10.0.0.1"]),
    ("6to4-loopback", &["2002:7f00:1::1"]),
    ("6to4-public", &["2002:808:808::1"]),
    ("teredo-loopback", &["2001:0:808:808::80ff:fffe"]),
    ("isatap-private", &["2606:4700::5efe:10.0.0.1"]),
    ("mixed", &["93.184.215.14", "127.0.0.1"]),
    ("mixed-v6", &["2606:4700::1", "::1"]),
];

#[tokio::test]
async fn no_name_leads_to_an_address_that_is_not_allowed() {
    let canary = ToolServer::everywhere().await;
    let names = Names::default();
    let mut config = SETTINGS.to_owned();
    for (name, addresses) in FORBIDDEN {
        names.tell(&format!("{name}.example"), &[addresses]);
        config += &tool(name, &format!("http://{name}.example:{}/", canary.port()), "connect_timeout = \"200ms\"");
    }
    let mesh = Harness::with_names(names, |_| config).await;
    for (name, addresses) in FORBIDDEN {
        let answer = mesh.call(name, json!({})).await.expect("the fallback answers");
        assert!(refused(&answer), "{name} {addresses:?}: {answer:?}");
        assert_eq!(mesh.circuit(name).await.failures, 0, "{name}");
    }
    assert_eq!(canary.connections(), 0);
}

/// Names that are known to lead here, whoever answers for them.
const NAMES: [&str; 8] = [
    "localhost.",
    "x.localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "metadata.google.internal",
    "127.0.0.1.nip.example",
    "a-name",
    "tool.example.",
];

#[tokio::test]
async fn no_name_is_trusted_for_how_it_looks() {
    let canary = ToolServer::everywhere().await;
    let names = Names::default();
    let mut config = SETTINGS.to_owned();
    for (index, name) in NAMES.iter().enumerate() {
        names.tell(name, &[&["127.0.0.1", "::1"]]);
        config += &tool(&format!("t{index}"), &format!("http://{name}:{}/", canary.port()), "");
    }
    let mesh = Harness::with_names(names, |_| config).await;
    for (index, name) in NAMES.iter().enumerate() {
        let answer = mesh.call(&format!("t{index}"), json!({})).await.expect("the fallback answers");
        assert!(refused(&answer), "{name}: {answer:?}");
    }
    assert_eq!(canary.connections(), 0);
}
