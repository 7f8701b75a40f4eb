//! Limits of different services that contradict each other: what one lets in, the next must be able to take.

use holdfast_config::{ConfigError, Document, Invalid};
use holdfast_rpc::service::Settings as _;

/// What the record of a tool's call has besides the answer.
const RECORD_BYTES: usize = 16 << 10;

/// Limits that do not fit. Sections that cannot be read are told of elsewhere.
pub(super) fn problems(document: &Document) -> Vec<ConfigError> {
    let found = payloads(document).into_iter().chain(answers(document)).chain(records(document));
    found.map(|problem| document.locate(problem)).collect()
}

/// A payload that the gateway takes must fit into the queue.
fn payloads(document: &Document) -> Option<Invalid> {
    let gateway = holdfast_gateway::Config::from_document(document).ok()?.payload_max();
    let queue = holdfast_queue::Config::from_document(document).ok()?.payload_max;
    let why = || format!("{gateway} is more than queue.payload_max ({queue}): lower it, or raise queue.payload_max");
    (gateway > queue).then(|| Invalid::new("gateway.payload_max", why()))
}

/// A tool's answer must fit into a record of the state service: what cannot be recorded is not known after a crash.
fn answers(document: &Document) -> Vec<Invalid> {
    let Ok(tools) = holdfast_tool_proxy::Config::from_document(document) else { return Vec::new() };
    let Ok(state) = holdfast_state::Config::from_document(document) else { return Vec::new() };
    let configured = tools.tools.iter().map(|(name, tool)| (format!("tools.{name}"), tool.max_response_bytes));
    let servers = tools.mcp.iter().map(|(name, server)| (format!("mcp.{name}"), server.max_response_bytes));
    let of_servers = tools.mcp.iter().flat_map(|(name, server)| {
        let own = server.tools.iter();
        own.filter_map(move |(tool, own)| Some((format!("mcp.{name}.tools.{tool}"), own.max_response_bytes?)))
    });
    let all = configured.chain(servers).chain(of_servers);
    let too_large = all.filter(|(_, size)| {
        size.bytes().saturating_mul(holdfast_tool_proxy::RECORDED_BYTES_PER_BYTE).saturating_add(RECORD_BYTES)
            > state.value_max.bytes()
    });
    let problem = |(tool, size)| {
        let why = format!(
            "{size} may not fit into a record, where quoting can double it: state.value_max is {}; lower this to less \
             than half of it, or raise state.value_max",
            state.value_max
        );
        Invalid::new(format!("{tool}.max_response_bytes"), why)
    };
    too_large.map(problem).collect()
}

/// A record must outlast whatever may still ask for it: a lease whose fence is not forgotten, and a redrive.
fn records(document: &Document) -> Option<Invalid> {
    let kept = holdfast_tool_proxy::Config::from_document(document).ok()?.tool_proxy.records_kept;
    let fences = holdfast_state::Config::from_document(document).ok()?.keep.fences;
    let redrives = holdfast_queue::Config::from_document(document).ok()?.retention;
    let (key, needed) = if fences > redrives { ("state.keep.fences", fences) } else { ("queue.retention", redrives) };
    let why = || format!("{kept} is not longer than {key} ({needed}): a call could be repeated whose record is gone");
    (kept <= needed).then(|| Invalid::new("tool_proxy.records_kept", why()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let document = Document::parse("t.toml", text, []).expect("it is TOML");
        problems(&document).iter().map(ConfigError::to_string).collect()
    }

    const TOOL: &str = "[tools.t]\nurl = \"http://h/\"\nfallback = [{ kind = \"fixed\", answer = 1 }]\n";

    #[test]
    fn defaults_fit_each_other() {
        assert_eq!(found(TOOL), [""; 0]);
    }

    #[test]
    fn a_payload_that_the_queue_would_refuse_is_told_beforehand() {
        let gateway = "[gateway]\npayload_max = \"2MiB\"\n";
        let problems = found(gateway);
        assert!(problems[0].starts_with("t.toml:2: gateway.payload_max: 2.0 MiB is more than queue.payload_max"));
        assert_eq!(found(&format!("{gateway}[queue]\npayload_max = \"2MiB\"\n")), [""; 0]);
    }

    #[test]
    fn an_answer_that_no_record_could_hold_is_told_beforehand() {
        for size in ["512KiB", "1MiB", "1GiB"] {
            let tool = format!("{TOOL}max_response_bytes = \"{size}\"\n");
            let problems = found(&tool);
            assert!(problems[0].starts_with("t.toml:4: tools.t.max_response_bytes: "), "{problems:?}");
        }
        let raised = format!("{TOOL}max_response_bytes = \"1MiB\"\n[state]\nvalue_max = \"3MiB\"\n");
        assert_eq!(found(&raised), [""; 0]);
    }

    #[test]
    fn the_answers_of_servers_are_held_to_the_same() {
        let fallback = "fallback = [{ kind = \"fixed\", answer = 1 }]\n";
        let server = format!("[mcp.s]\nurl = \"https://s.example/mcp\"\n{fallback}");
        let problems = found(&format!("{server}max_response_bytes = \"1MiB\"\n"));
        assert!(problems[0].starts_with("t.toml:4: mcp.s.max_response_bytes: 1.0 MiB may not"), "{problems:?}");
        let problems = found(&format!("{server}[mcp.s.tools.big]\nmax_response_bytes = \"1MiB\"\n"));
        assert!(problems[0].starts_with("t.toml:5: mcp.s.tools.big.max_response_bytes: "), "{problems:?}");
        assert_eq!(found(&format!("{server}[mcp.s.tools.small]\nmax_response_bytes = \"1KiB\"\n")), [""; 0]);
    }

    #[test]
    fn a_record_outlasts_fences_and_redrives() {
        let problems = found("[tool_proxy]\nrecords_kept = \"20d\"\n[queue]\nretention = \"20d\"\n");
        let said = "t.toml:2: tool_proxy.records_kept: 20days is not longer than queue.retention (20days)";
        assert!(problems[0].starts_with(said), "{problems:?}");
        let problems = found("[state.keep]\nfences = \"31d\"\n");
        assert!(problems[0].contains("records_kept: 30days is not longer than state.keep.fences"), "{problems:?}");
        assert_eq!(found("[tool_proxy]\nrecords_kept = \"8d\"\n"), [""; 0]);
    }
}
