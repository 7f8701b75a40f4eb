//! `check`: everything that can be told about a configuration without starting anything.

mod collector;
mod exposure;
mod limits;
mod references;

use std::path::Path;

use holdfast_config::{Common, ConfigError, Document};
use holdfast_rpc::service::Settings;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::source::{Overrides, Source};

/// Checks a file; every problem is named with its line.
pub(super) fn run(file: &Path, output: Output) -> Result<Exit, Failure> {
    let document = Source::File(file.to_owned()).load(&Overrides::new())?;
    let problems = problems(&document);
    if !problems.is_empty() {
        return Err(Failure::Config(problems));
    }
    let name = file.display().to_string();
    output.print(|| json!({"file": name, "ok": true}), || format!("{name}: ok"));
    Ok(Exit::Done)
}

/// All that is wrong with a configuration, each once, by line.
pub(crate) fn problems(document: &Document) -> Vec<ConfigError> {
    let sections = [
        Common::from_document(document).err(),
        settings::<holdfast_gateway::Config>(document),
        settings::<holdfast_queue::Config>(document),
        settings::<holdfast_state::Config>(document),
        settings::<holdfast_tool_proxy::Config>(document),
        settings::<holdfast_llm_proxy::Config>(document),
        settings::<holdfast_agent::Config>(document),
        settings::<holdfast_simulator::Config>(document),
    ];
    let mut problems: Vec<ConfigError> = sections.into_iter().flatten().collect();
    problems.extend(references::problems(document));
    problems.extend(exposure::problems(document));
    problems.extend(limits::problems(document));
    problems.extend(collector::problem());
    problems.sort_by_key(|problem| (problem.line, problem.to_string()));
    problems.dedup();
    problems
}

/// What a service says of its own sections.
fn settings<S: Settings>(document: &Document) -> Option<ConfigError> {
    S::from_document(document).err()
}
