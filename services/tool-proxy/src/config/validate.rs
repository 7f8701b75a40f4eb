//! What one key alone cannot show: each error names the key and what to write instead.

use std::ops::RangeInclusive;
use std::time::Duration;

use holdfast_config::Invalid;

use super::{Config, Fallback, Tool, mcp};
use crate::domain::Effect;
use crate::egress::Egress;
use crate::schema::Schema;
use crate::upstream;

/// How long records may be kept: longer than the state service remembers the fences of leases by itself, so that nobody
/// repeats a call whose record is gone; and no longer than it keeps what expires.
const RECORDS_KEPT: RangeInclusive<Duration> = days(8)..=days(3_650);

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3_600)
}

pub(super) fn config(config: &Config) -> Result<(), Invalid> {
    if config.tool_proxy.retry_percent > 100 {
        return Err(Invalid::new("tool_proxy.retry_percent", "must be between 0 and 100"));
    }
    if config.tool_proxy.state_timeout.is_zero() {
        return Err(Invalid::new("tool_proxy.state_timeout", "must be longer than nothing"));
    }
    if !RECORDS_KEPT.contains(&*config.tool_proxy.records_kept) {
        let why = "must be between 8d and 3650d: leases count for 7d, and none may find the record of its call gone";
        return Err(Invalid::new("tool_proxy.records_kept", why));
    }
    if let Err(error) = config.tool_proxy.host_breaker.settings().validate() {
        return Err(Invalid::new(format!("tool_proxy.host_breaker.{}", error.field), error.why));
    }
    let egress = Egress::new(&config.tool_proxy.egress)?;
    for (name, tool) in &config.tools {
        check(name, tool, config, &egress).map_err(|(key, why)| Invalid::new(format!("tools.{name}.{key}"), why))?;
    }
    for (name, server) in &config.mcp {
        mcp::check(name, server, config, &egress)
            .map_err(|(key, why)| Invalid::new(format!("mcp.{name}.{key}"), why))?;
    }
    Ok(())
}

pub(super) type Wrong = (String, String);

pub(super) fn wrong<T>(key: impl Into<String>, why: impl Into<String>) -> Result<T, Wrong> {
    Err((key.into(), why.into()))
}

fn check(name: &str, tool: &Tool, config: &Config, egress: &Egress) -> Result<(), Wrong> {
    if !named_well(name) {
        return wrong("url", "the tool's name must be 1 to 64 letters, digits, \"_\", \"-\" or \".\"");
    }
    address(tool, egress)?;
    limits(tool)?;
    upstream::headers(tool).map(drop)?;
    upstream::authority(tool).map(drop)?;
    tool.asked(&Schema::of(tool)?)?;
    tool.shares()?;
    tool.permission()?;
    tool.traced()?;
    if let Err(error) = tool.breaker.settings().validate() {
        return wrong(format!("breaker.{}", error.field), error.why);
    }
    if tool.fallback.is_empty() {
        return wrong(
            "fallback",
            "is missing: say what callers get while the tool does not answer, such as \
             fallback = [{ kind = \"unavailable\", advice = \"Go on without it.\" }]",
        );
    }
    tool.fallback.iter().try_for_each(|fallback| stand_in(name, tool, fallback, config))
}

/// Whether a tool, or what its name begins with, can be called so.
pub(crate) fn named_well(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

fn address(tool: &Tool, egress: &Egress) -> Result<(), Wrong> {
    if tool.url.is_empty() {
        return wrong("url", "is missing: where is the tool? Write \"https://HOST/PATH\" or \"simulator:/tools/NAME\"");
    }
    match tool.url.strip_prefix("simulator:") {
        Some(path) if path.starts_with('/') => Ok(()),
        _ => egress.check(&tool.url, tool.allow_private).or_else(|refusal| wrong("url", refusal.to_string())),
    }
}

pub(super) fn limits(tool: &Tool) -> Result<(), Wrong> {
    let counts = [
        ("concurrency", tool.concurrency),
        ("attempts", tool.attempts as usize),
        ("max_response_bytes", tool.max_response_bytes.bytes()),
    ];
    for (key, count) in counts {
        if count == 0 {
            return wrong(key, "must be at least 1");
        }
    }
    if tool.concurrency > tokio::sync::Semaphore::MAX_PERMITS {
        return wrong("concurrency", "is more than can be counted");
    }
    if tool.timeout.is_zero() {
        return wrong("timeout", "must be longer than nothing");
    }
    // Only what fails while connecting has certainly not been sent.
    if *tool.connect_timeout > *tool.timeout {
        return wrong("connect_timeout", "must not be longer than timeout");
    }
    Ok(())
}

fn stand_in(name: &str, tool: &Tool, fallback: &Fallback, config: &Config) -> Result<(), Wrong> {
    match fallback {
        Fallback::LastGood { .. } if tool.effect != Effect::ReadOnly => {
            wrong("fallback", "last_good fits a read_only tool only: an old answer would hide that nothing was done")
        }
        Fallback::Tool { name: other } if other == name => wrong("fallback", "a tool cannot stand in for itself"),
        Fallback::Tool { name: other } => match config.tools.get(other) {
            // Its effect is looked at once it is there.
            None if config.may_discover(other) => Ok(()),
            None => wrong("fallback", format!("there is no tool {other:?}")),
            Some(other_tool) if other_tool.effect > tool.effect => {
                wrong("fallback", format!("{other:?} has more effect than this tool promises to have"))
            }
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_config::Document;
    use holdfast_rpc::service::Settings as _;

    use super::*;

    const GOOD: &str = r#"
[tools.search]
url = "http://127.0.0.1:1/search"
effect = "read_only"
schema = '{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}'
fallback = [{ kind = "last_good", max_age = "5m" }, { kind = "unavailable", advice = "Go on." }]
"#;

    fn complaint(text: &str) -> String {
        let document = Document::parse("holdfast.toml", text, []).expect("it is TOML");
        Config::from_document(&document).expect_err("it does not hold").to_string()
    }

    #[test]
    fn a_whole_tool_is_taken() {
        let document = Document::parse("holdfast.toml", GOOD, []).expect("it is TOML");
        let config = Config::from_document(&document).expect("it holds");
        assert_eq!(config.tools["search"].effect, Effect::ReadOnly);
    }

    #[test]
    fn a_tool_without_a_fallback_is_refused_with_key_and_reason() {
        let text = complaint("[tools.pay]\nurl = \"http://127.0.0.1:1/\"\n");
        assert!(text.starts_with("holdfast.toml:1: tools.pay.fallback: is missing"), "{text}");
    }

    #[test]
    fn each_mistake_names_its_key() {
        let edits = [
            ("url = \"http://127.0.0.1:1/search\"", "url = \"ftp://x/\"", "tools.search.url"),
            ("\"type\":\"string\"", "\"type\":\"strin\"", "tools.search.schema"),
            ("effect = \"read_only\"", "effect = \"idempotent\"", "tools.search.fallback"),
            ("kind = \"unavailable\", advice = \"Go on.\"", "kind = \"tool\", name = \"x\"", "tools.search.fallback"),
            ("effect = \"read_only\"", "effect = \"read_only\"\nbreaker.probes = 0", "tools.search.breaker.probes"),
            ("effect = \"read_only\"", "effect = \"read_only\"\ntimeout = \"0s\"", "tools.search.timeout"),
            ("effect = \"read_only\"", "effect = \"read_only\"\nheaders = { \"a b\" = \"c\" }", "tools.search.headers"),
        ];
        for (from, to, key) in edits {
            let text = complaint(&GOOD.replace(from, to));
            assert!(text.contains(key), "{text} should name {key}");
        }
    }

    #[test]
    fn an_authority_must_be_one_and_have_something_to_vouch_for() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, "not PEM").expect("it is written");
        let line = format!("effect = \"read_only\"\nauthority = \"file:{}\"", file.display());
        let plain = GOOD.replace("effect = \"read_only\"", &line);
        assert!(complaint(&plain).contains("tools.search.authority: is for https only"), "{}", complaint(&plain));
        assert!(complaint(&plain.replace("http:", "HTTP:")).contains("tools.search.authority: is for https only"));
        let text = complaint(&plain.replace("http:", "https:"));
        assert!(text.contains("tools.search.authority: is not a certificate in PEM"), "{text}");
    }

    #[test]
    fn records_are_kept_longer_than_leases_count() {
        for kept in ["7d", "0s", "11y"] {
            let text = complaint(&format!("[tool_proxy]\nrecords_kept = \"{kept}\"\n"));
            assert!(text.starts_with("holdfast.toml:2: tool_proxy.records_kept: must be between"), "{text}");
        }
    }

    #[test]
    fn the_circuits_of_hosts_are_checked_as_those_of_tools() {
        let text = complaint("[tool_proxy.host_breaker]\nprobes = 0\n");
        assert!(text.contains("tool_proxy.host_breaker.probes: must be at least 1"), "{text}");
    }

    #[test]
    fn a_stand_in_must_not_have_more_effect() {
        let other = "[tools.other]\nurl = \"http://127.0.0.1:1/\"\nfallback = [{ kind = \"fixed\", answer = 1 }]\n";
        let text =
            GOOD.replace("{ kind = \"unavailable\", advice = \"Go on.\" }", "{ kind = \"tool\", name = \"other\" }");
        assert!(complaint(&format!("{text}{other}")).contains("more effect"));
    }
}
