//! `holdfast tools …`, as its help shows it.

use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(subcommand)]
    pub(crate) command: ToolsCommand,
}

/// The commands about tools, through a gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum ToolsCommand {
    /// List the tools: what a call may do, where the circuit stands, what stands in
    List(ToolsList),
    /// Call a tool outside of any invocation
    Call(ToolsCall),
}

#[derive(Debug, Args)]
pub(crate) struct ToolsList {
    /// Only these; none means all
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ToolsCall {
    /// The tool
    pub(crate) name: String,
    /// Its arguments, a JSON object; - reads it from standard input
    #[arg(value_name = "JSON", default_value = "{}", hide_default_value = true)]
    pub(crate) arguments: String,
    /// Record the call: the same key and arguments get the first answer, and an effect happens once
    #[arg(long, value_name = "K")]
    pub(crate) idempotency_key: Option<String>,
    /// Give up after so long, such as 500ms or 5s; without it, the tool's own limits count, and an hour at most
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Option<Duration>,
}
