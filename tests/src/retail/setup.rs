//! What the mesh is told: the desk's tools, the agent that has them, and a script for each case.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::desk::changes_records;
use super::{Action, Case, Server};

/// `holdfast.toml` with the material's tools at the tool server, and the agent `retail` that has them all.
pub fn config(tools: &[Value], server: &Server, model_latency: Duration) -> String {
    let mut toml = format!(
        r#"
[agent]
tool_patience = "60s"

[agents.retail]
model = "scripted"
instructions = "You are a customer service agent of a retail company."
tools = {names}
steps_max = 40
tokens_max = 10000000

[models.scripted]
deployments = [{{ provider = "simulated", model = "simulated-model" }}]

[providers.simulated]
kind = "openai"
base_url = "simulator:/v1"
keys = [{{ name = "simulated", concurrency = 16 }}]

[simulator]
keys.simulated = {{ concurrency = 16 }}
faults = {{ latency = "{latency}ms" }}
"#,
        names = json!(tools.iter().map(|tool| &tool["name"]).collect::<Vec<_>>()),
        latency = model_latency.as_millis(),
    );
    for tool in tools {
        write!(toml, "{}", tool_section(tool, server)).expect("text can be written");
    }
    toml
}

/// JSON's strings are TOML's strings too.
fn tool_section(tool: &Value, server: &Server) -> String {
    let name = tool["name"].as_str().unwrap_or_default();
    format!(
        r#"
[tools.{name}]
url = "{url}"
description = {description}
schema = {schema}
effect = "{effect}"
tell_invocation = true
timeout = "90s"
wait = "60s"
fallback = [{{ kind = "unavailable", advice = "Try again later." }}]
"#,
        url = server.url(name),
        description = tool["description"],
        schema = json!(tool["parameters"].to_string()),
        effect = if changes_records(name) { "idempotent" } else { "read_only" },
    )
}

/// The session, the script and the idempotency key of a case.
pub fn name(case: &Case, round: u32) -> String {
    format!("case-{}-{round}", case.id)
}

/// The scripts of all cases: each action is one answer of the model, one after the other, and then it is done.
pub fn scripts(cases: &[Case]) -> Value {
    let script = |case: &Case| {
        let mut steps: Vec<_> = case.actions.iter().map(step).collect();
        steps.push(json!({"text": "done"}));
        (format!("case-{}", case.id), json!({"steps": steps}))
    };
    Value::Object(cases.iter().map(script).collect::<Map<_, _>>())
}

fn step(action: &Action) -> Value {
    json!({"calls": [{"tool": action.name, "arguments": action.arguments}]})
}
