//! URLs in the configuration, and where the answer of a tool leads.

use holdfast_config::Document;
use holdfast_proto::tool::v1::Outcome;
use holdfast_rpc::service::Settings as _;
use holdfast_tool_proxy::Config;
use serde_json::json;

use super::{SETTINGS, neighbours};
use crate::harness::{Harness, tool};
use crate::tool_server::{Does, ToolServer};

/// What a tool's answer says as `location`; `PORT` is the canary's, which is everywhere on this machine.
const LOCATIONS: [(&str, &str); 31] = [
    ("loopback", "http://127.0.0.1:PORT/"),
    ("without-scheme", "//127.0.0.1:PORT/"),
    ("backslashes", "\\\\127.0.0.1:PORT/"),
    ("slash-backslash", "/\\127.0.0.1:PORT/"),
    ("scheme-backslashes", "http:\\\\127.0.0.1:PORT/"),
    ("three-slashes", "http:///127.0.0.1:PORT/"),
    ("decimal", "http://2130706433:PORT/"),
    ("hexadecimal", "http://0x7f000001:PORT/"),
    ("hexadecimal-parts", "http://0x7f.0x0.0x0.0x1:PORT/"),
    ("octal", "http://017700000001:PORT/"),
    ("octal-parts", "http://0177.0.0.01:PORT/"),
    ("mixed-parts", "http://0x7f.1:PORT/"),
    ("short", "http://127.1:PORT/"),
    ("trailing-dot", "http://127.0.0.1.:PORT/"),
    ("zero", "http://0:PORT/"),
    ("unspecified", "http://0.0.0.0:PORT/"),
    ("loopback-v6", "http://[::1]:PORT/"),
    ("unspecified-v6", "http://[::]:PORT/"),
    ("mapped", "http://[::ffff:127.0.0.1]:PORT/"),
    ("mapped-hexadecimal", "http://[::ffff:7f00:1]:PORT/"),
    ("long-v6", "http://[0:0:0:0:0:0:0:1]:PORT/"),
    ("zone", "http://[fe80::1%25lo]:PORT/"),
    ("localhost", "http://localhost:PORT/"),
    ("escaped", "http://%6cocalhost:PORT/"),
    ("as-a-user", "http://127.0.0.2@127.0.0.1:PORT/"),
    ("another-port", "http://127.0.0.2:PORT/"),
    ("another-scheme", "https://127.0.0.1:PORT/"),
    ("metadata", "http://169.254.169.254/latest/meta-data/"),
    ("metadata-v6", "http://[fd00:ec2::254]/latest/meta-data/"),
    ("file", "file:///etc/passwd"),
    ("gopher", "gopher://127.0.0.1:PORT/_"),
];

#[tokio::test]
async fn no_answer_leads_a_call_elsewhere() {
    let canary = ToolServer::everywhere().await;
    let (server, _) = neighbours().await;
    let more = "method = \"GET\"\neffect = \"read_only\"\nattempts = 1\nredirects = 5\nbearer = \"env:CARGO_PKG_NAME\"";
    let mut config = SETTINGS.to_owned();
    for (name, location) in LOCATIONS {
        let location = location.replace("PORT", &canary.port().to_string());
        // Two links of a chain that is allowed before the one that is not.
        server.on(&format!("/{name}"), Does::Redirect(format!("/{name}/a")));
        server.on(&format!("/{name}/a"), Does::Redirect(format!("/{name}/b")));
        server.on(&format!("/{name}/b"), Does::Redirect(location));
        config += &tool(name, &server.url(&format!("/{name}")), more);
    }
    let mesh = Harness::start(|_| config).await;
    for (name, location) in LOCATIONS {
        let answer = mesh.call(name, json!({})).await.expect("the fallback answers");
        assert_eq!(
            (answer.outcome(), answer.degraded_reason.as_str()),
            (Outcome::Unavailable, "REDIRECT_REFUSED"),
            "{name} {location}"
        );
        assert_eq!(server.hits(&format!("/{name}/b")).len(), 1, "{name}: the chain was followed so far");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_redirect_at_home_is_followed_where_that_is_wanted() {
    let (server, _) = neighbours().await;
    server.on("/old", Does::Redirect("/new?x=1".into()));
    server.on("/new", Does::Answer(200, json!({"found": true})));
    let more = "method = \"GET\"\neffect = \"read_only\"\nattempts = 1\nbearer = \"env:CARGO_PKG_NAME\"";
    let mesh = Harness::start(|_| {
        let url = server.url("/old");
        SETTINGS.to_owned() + &tool("follows", &url, &format!("{more}\nredirects = 1")) + &tool("stays", &url, more)
    })
    .await;
    let answer = mesh.call("follows", json!({})).await.expect("it answers");
    assert_eq!(answer.outcome(), Outcome::Real, "{}", answer.degraded_reason);
    let hit = server.hits("/new").remove(0);
    assert_eq!((hit.query.as_str(), hit.header("authorization")), ("x=1", "Bearer holdfast-tool-proxy"));
    let answer = mesh.call("stays", json!({})).await.expect("the fallback answers");
    assert_eq!(answer.degraded_reason, "HTTP_307");
    assert_eq!(server.hits("/new").len(), 1);
}

/// A configuration with such a URL does not start, and says why.
const URLS: [&str; 33] = [
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.1./",
    "http://0/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.1.1/",
    "http://100.100.100.200/",
    "http://[fd00:ec2::254]/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
    "http://user:password@tool.example/",
    "http://tool.example@127.0.0.1/",
    "http://%6cocalhost/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "unix:/run/docker.sock",
];

#[test]
fn no_configuration_starts_that_hides_where_a_tool_is_or_names_what_no_tool_is() {
    for url in URLS {
        for more in ["", "allow_private = true"] {
            let document = Document::parse("the test", &tool("t", url, more), []).expect("it is TOML");
            let complaint = Config::from_document(&document).expect_err(url).to_string();
            assert!(complaint.contains("tools.t.url"), "{url}: {complaint}");
        }
    }
}

#[test]
fn what_belongs_to_the_connection_is_not_the_configurations_to_set() {
    for header in
        ["host", "Host", "content-length", "transfer-encoding", "connection", "proxy-authorization", "upgrade"]
    {
        for key in ["headers", "secret_headers"] {
            let value = if key == "headers" { "x" } else { "env:CARGO_PKG_NAME" };
            let more = format!("{key} = {{ {header} = \"{value}\" }}");
            let document = Document::parse("the test", &tool("t", "https://h/", &more), []).expect("it is TOML");
            let complaint = Config::from_document(&document).expect_err(header).to_string();
            assert!(complaint.contains(&format!("tools.t.{key}")), "{header}: {complaint}");
        }
    }
}
