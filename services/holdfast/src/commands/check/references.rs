//! What the sections of different services say of each other. A service that ships alone takes a file without its peers'
//! sections; a whole mesh's file must have the models and tools that its agents name.

use std::collections::BTreeMap;

use holdfast_config::{ConfigError, Document, Invalid};
use holdfast_rpc::service::Settings as _;
use serde::Deserialize;

/// The part of an agent that names others; the agent service reads the rest.
#[derive(Debug, Deserialize)]
struct Agent {
    model: String,
    #[serde(default)]
    tools: Vec<String>,
}

/// References into sections that are not there at all: those into sections that are there, the services check themselves.
pub(super) fn problems(document: &Document) -> Vec<ConfigError> {
    // What cannot be read is told of elsewhere.
    let Ok(agents) = document.section::<BTreeMap<String, Agent>>("agents") else { return Vec::new() };
    let mut problems = Vec::new();
    for (name, agent) in &agents {
        if !document.has_section("models") {
            problems.push(missing(format!("agents.{name}.model"), "models", &agent.model));
        }
        // Where there are servers, the agent service knows which tools may be theirs.
        if !document.has_section("tools") && !document.has_section("mcp") {
            let unknown = agent.tools.iter().filter(|tool| !is_built_in(tool));
            problems.extend(unknown.map(|tool| missing(format!("agents.{name}.tools"), "tools", tool)));
        }
    }
    problems.into_iter().map(|problem| document.locate(problem)).collect()
}

fn missing(key: String, section: &str, name: &str) -> Invalid {
    Invalid::new(key, format!("there is no [{section}.{name}]"))
}

/// Whether the agent pool has this tool by itself: it then takes an agent with it where no tool is declared.
fn is_built_in(tool: &str) -> bool {
    let text = format!("[agents.a]\nmodel = \"m\"\ntools = [{tool:?}]\n[tools]\n");
    Document::parse("a tool", &text, []).is_ok_and(|document| holdfast_agent::Config::from_document(&document).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let document = Document::parse("t.toml", text, []).expect("it is TOML");
        problems(&document).iter().map(ConfigError::to_string).collect()
    }

    #[test]
    fn an_agent_without_any_models_or_tools_is_told_what_is_missing() {
        let agent = "[agents.a]\nmodel = \"m\"\ntools = [\"state_get\", \"search\"]\n";
        let missing = [
            "t.toml:2: agents.a.model: there is no [models.m]",
            "t.toml:3: agents.a.tools: there is no [tools.search]",
        ];
        assert_eq!(found(agent), missing);
        assert_eq!(found(&format!("{agent}[models.m]\n[tools.search]\n")), [""; 0]);
        assert_eq!(found(&format!("{agent}[models.m]\n[mcp.search]\n")), [""; 0], "whose they are, the agent says");
    }
}
