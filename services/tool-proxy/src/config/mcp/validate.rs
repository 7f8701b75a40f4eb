//! Each error names the key and what to write instead.

use super::super::validate::{Wrong, limits, named_well, wrong};
use super::super::{Config, Fallback, Tool};
use super::{Mcp, McpTool};
use crate::domain::Effect;
use crate::egress::Egress;
use crate::upstream;

/// A tool's name has 64 bytes in all.
const PREFIX_BYTES_MAX: usize = 48;

/// What of `[mcp.NAME]` does not hold, by its key.
pub(in crate::config) fn check(name: &str, server: &Mcp, config: &Config, egress: &Egress) -> Result<(), Wrong> {
    if !named_well(name) {
        return wrong("url", "the server's name must be 1 to 64 letters, digits, \"_\", \"-\" or \".\"");
    }
    reach(server, egress)?;
    let prefix = server.prefix(name);
    if prefix.len() > PREFIX_BYTES_MAX || !(prefix.is_empty() || named_well(&prefix)) {
        return wrong("prefix", "must be at most 48 letters, digits, \"_\", \"-\" or \".\"");
    }
    if server.refresh.as_secs() == 0 {
        return wrong("refresh", "must be at least 1s");
    }
    let template = server.server();
    limits(&template)?;
    shared(&template)?;
    upstream::headers(&template).map(drop)?;
    upstream::authority(&template).map(drop)?;
    chain(&template, server, config)?;
    if holds_last_good(&template) && !any_may_be_read_only(server) {
        return wrong("fallback", "last_good fits a read_only tool only, and no tool of this server is declared so");
    }
    for (tool, own) in &server.tools {
        one(tool, own, server, config).map_err(|(key, why)| (format!("tools.{tool}.{key}"), why))?;
    }
    Ok(())
}

fn one(tool: &str, own: &McpTool, server: &Mcp, config: &Config) -> Result<(), Wrong> {
    let whole = server.tool(tool, "", None);
    limits(&whole)?;
    shared(&whole)?;
    let Some(links) = &own.fallback else { return Ok(()) };
    chain(&Tool { fallback: links.clone(), ..whole.clone() }, server, config)?;
    let may_be_read_only = match server.effect_of(tool) {
        Some(effect) => effect == Effect::ReadOnly,
        None => server.trust_annotations,
    };
    if !may_be_read_only && links.iter().any(|link| matches!(link, Fallback::LastGood { .. })) {
        return wrong(
            "fallback",
            "last_good fits a read_only tool only: an old answer would hide that nothing was done",
        );
    }
    Ok(())
}

/// How the server is reached: at a URL, or by a command, and only what belongs to that.
fn reach(server: &Mcp, egress: &Egress) -> Result<(), Wrong> {
    match (server.url.is_empty(), server.command.as_slice()) {
        (true, []) => wrong("url", "is missing: write url = \"https://HOST/mcp\", or command = [\"PROGRAM\", …]"),
        (false, [_, ..]) => wrong("command", "and url cannot both be set"),
        (true, [program, ..]) if program.is_empty() => wrong("command", "must begin with the program"),
        (true, _) => {
            let foreign = [
                ("headers", !server.headers.is_empty()),
                ("secret_headers", !server.secret_headers.is_empty()),
                ("bearer", server.bearer.is_some()),
                ("authority", server.authority.is_some()),
            ];
            only_with(&foreign, "is for a server with a url: one that is started gets env and secret_env")
        }
        (false, []) => {
            if let Err(refusal) = egress.check(&server.url, server.allow_private) {
                return wrong("url", refusal.to_string());
            }
            let foreign = [
                ("env", !server.env.is_empty()),
                ("secret_env", !server.secret_env.is_empty()),
                ("directory", server.directory.is_some()),
            ];
            only_with(&foreign, "is for a server with a command: one at a url gets headers and secret_headers")
        }
    }
}

fn only_with(foreign: &[(&str, bool)], why: &str) -> Result<(), Wrong> {
    match foreign.iter().find(|(_, set)| *set) {
        Some((key, _)) => wrong(*key, why),
        None => Ok(()),
    }
}

/// A breaker and a chain, as every tool has them.
fn chain(tool: &Tool, server: &Mcp, config: &Config) -> Result<(), Wrong> {
    if let Err(error) = tool.breaker.settings().validate() {
        return wrong(format!("breaker.{}", error.field), error.why);
    }
    if tool.fallback.is_empty() {
        return wrong(
            "fallback",
            "is missing: say what callers get while a tool of the server does not answer, such as \
             fallback = [{ kind = \"unavailable\", advice = \"Go on without it.\" }]",
        );
    }
    for link in &tool.fallback {
        let Fallback::Tool { name } = link else { continue };
        match config.tools.get(name) {
            None if config.may_discover(name) => {}
            None => return wrong("fallback", format!("there is no tool {name:?}")),
            // Where the effect is only known from the server, the call itself looks.
            Some(other) if server.effect.is_some() && other.effect > tool.effect => {
                return wrong("fallback", format!("{name:?} has more effect than these tools promise to have"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn shared(tool: &Tool) -> Result<(), Wrong> {
    tool.shares()?;
    tool.permission()?;
    tool.traced()?;
    Ok(())
}

fn holds_last_good(tool: &Tool) -> bool {
    tool.fallback.iter().any(|link| matches!(link, Fallback::LastGood { .. }))
}

fn any_may_be_read_only(server: &Mcp) -> bool {
    server.effect.map_or(server.trust_annotations, |effect| effect == Effect::ReadOnly)
        || server.tools.values().any(|tool| tool.effect == Some(Effect::ReadOnly))
}

#[cfg(test)]
mod tests {
    use holdfast_config::Document;
    use holdfast_rpc::service::Settings as _;

    use super::*;

    const GOOD: &str = r#"
[mcp.everything]
url = "https://mcp.example.com/mcp"
bearer = "env:CARGO_PKG_NAME"
trust_annotations = true
allow = ["get*", "echo"]
deny = ["get_env"]
fallback = [{ kind = "last_good", max_age = "5m" }, { kind = "unavailable", advice = "Go on." }]

[mcp.everything.tools.echo]
effect = "read_only"
timeout = "2s"
"#;

    fn read(text: &str) -> Result<Config, String> {
        let document = Document::parse("holdfast.toml", text, []).expect("it is TOML");
        Config::from_document(&document).map_err(|error| error.to_string())
    }

    fn complaint(text: &str) -> String {
        read(text).expect_err("it does not hold")
    }

    #[test]
    fn a_whole_server_is_taken() {
        let config = read(GOOD).expect("it holds");
        let server = &config.mcp["everything"];
        assert_eq!(server.prefix("everything"), "everything_");
        let taken: Vec<_> =
            ["echo", "get_sum", "get_env", "add"].into_iter().filter(|tool| server.takes(tool)).collect();
        assert_eq!(taken, ["echo", "get_sum"]);
        let echo = server.tool("echo", "says it again", None);
        assert_eq!((echo.effect, echo.timeout.as_secs(), echo.fallback.len()), (Effect::ReadOnly, 2, 2));
    }

    #[test]
    fn the_operators_word_beats_the_annotation_and_an_untrusted_one_says_nothing() {
        let effect = |text: &str, tool: &str| {
            read(text).expect("it holds").mcp["everything"].tool(tool, "", Some(Effect::Idempotent)).effect
        };
        assert_eq!(effect(GOOD, "echo"), Effect::ReadOnly);
        assert_eq!(effect(GOOD, "get_sum"), Effect::Idempotent);
        assert_eq!(effect(&GOOD.replace("trust_annotations = true", ""), "get_sum"), Effect::Effectful);
    }

    #[test]
    fn a_link_that_fits_read_only_tools_is_left_out_for_the_others() {
        let config = read(GOOD).expect("it holds");
        assert_eq!(config.mcp["everything"].tool("get_sum", "", None).fallback.len(), 1);
    }

    #[test]
    fn each_mistake_names_its_key() {
        let edits = [
            ("url = \"https://mcp.example.com/mcp\"", "", "mcp.everything.url: is missing"),
            ("https:", "ftp:", "mcp.everything.url"),
            ("allow =", "command = [\"npx\"]\nallow =", "mcp.everything.command"),
            ("allow =", "env = { A = \"b\" }\nallow =", "mcp.everything.env"),
            ("allow =", "prefix = \"a b\"\nallow =", "mcp.everything.prefix"),
            ("allow =", "refresh = \"0s\"\nallow =", "mcp.everything.refresh"),
            ("allow =", "alow = []\nallow =", "mcp.everything.alow: unknown field"),
            ("allow =", "concurrency = 0\nallow =", "mcp.everything.concurrency"),
            ("allow =", "breaker.probes = 0\nallow =", "mcp.everything.breaker.probes"),
            ("timeout = \"2s\"", "timeout = \"0s\"", "mcp.everything.tools.echo.timeout"),
            ("timeout = \"2s\"", "fallback = []", "mcp.everything.tools.echo.fallback"),
            ("effect = \"read_only\"", "url = \"http://x/\"", "mcp.everything.tools.echo.url: unknown field"),
            ("kind = \"unavailable\", advice = \"Go on.\"", "kind = \"tool\", name = \"x\"", "mcp.everything.fallback"),
        ];
        for (from, to, key) in edits {
            let text = complaint(&GOOD.replacen(from, to, 1));
            assert!(text.contains(key), "{text} should name {key}");
        }
        let text = complaint("[mcp.files]\ncommand = [\"files\"]\n");
        assert!(text.contains("mcp.files.fallback: is missing"), "{text}");
        let text = complaint("[mcp.files]\ncommand = [\"files\"]\nbearer = \"env:PATH\"\n");
        assert!(text.contains("mcp.files.bearer: is for a server with a url"), "{text}");
    }

    #[test]
    fn an_old_answer_stands_in_for_read_only_tools_alone() {
        let text = complaint(
            &GOOD.replace("trust_annotations = true", "effect = \"idempotent\"").replace("effect = \"read_only\"", ""),
        );
        assert!(text.contains("mcp.everything.fallback: last_good"), "{text}");
    }

    #[test]
    fn a_tool_that_is_yet_to_be_discovered_may_stand_in() {
        let tool = "[tools.search]\nurl = \"http://127.0.0.1:1/\"\nfallback = [{ kind = \"tool\", name = \"NAME\" }]\n";
        read(&format!("{GOOD}{}", tool.replace("NAME", "everything_echo"))).expect("it may come");
        let text = complaint(&format!("{GOOD}{}", tool.replace("NAME", "nothing_echo")));
        assert!(text.contains("tools.search.fallback"), "{text}");
    }
}
