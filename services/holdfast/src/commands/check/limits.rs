//! Limits of different services that contradict each other: what one lets in, the next must be able to take.

use holdfast_config::{ConfigError, Document, Invalid};
use holdfast_rpc::service::Settings as _;

/// What the record of a tool's call has besides the answer.
const RECORD_BYTES: usize = 16 << 10;

/// Limits that do not fit. Sections that cannot be read are told of elsewhere.
pub(super) fn problems(document: &Document) -> Vec<ConfigError> {
    let found = payloads(document).into_iter().chain(answers(document));
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
    let value_max = state.value_max;
    let too_large = tools.tools.iter().filter(|(_, tool)| {
        // In a record an answer is a JSON string: one that is JSON itself can take twice its size there.
        tool.max_response_bytes.bytes().saturating_mul(2).saturating_add(RECORD_BYTES) > value_max.bytes()
    });
    let problem = |(name, tool): (&String, &holdfast_tool_proxy::Tool)| {
        let why = format!(
            "{} may not fit into a record, where quoting can double it: state.value_max is {value_max}; lower this to \
             less than half of it, or raise state.value_max",
            tool.max_response_bytes
        );
        Invalid::new(format!("tools.{name}.max_response_bytes"), why)
    };
    too_large.map(problem).collect()
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
}
