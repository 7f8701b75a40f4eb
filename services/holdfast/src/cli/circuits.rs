//! `holdfast circuits …`, as its help shows it.

use clap::{Args, Subcommand};
use holdfast_proto::tool::v1::CircuitMode;

/// Without a command, they are shown.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Circuits {
    #[command(subcommand)]
    pub(crate) command: Option<CircuitsCommand>,
    /// Show them as they stand, then each change with its reason, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CircuitsCommand {
    /// Open or close a circuit by hand, or leave it to itself again
    Set(CircuitsSet),
}

#[derive(Debug, Args)]
pub(crate) struct CircuitsSet {
    /// The circuit, as `holdfast circuits` names it: a tool, or host:HOST:PORT
    pub(crate) name: String,
    /// open: no call passes; close: all do, whatever fails; auto: it decides itself
    #[arg(value_name = "open|close|auto", value_parser = mode)]
    pub(crate) mode: CircuitMode,
    /// Why, for those who watch and for the log
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

fn mode(text: &str) -> Result<CircuitMode, String> {
    match text {
        "open" => Ok(CircuitMode::Open),
        "close" | "closed" => Ok(CircuitMode::Closed),
        "auto" => Ok(CircuitMode::Auto),
        _ => Err("write open, close or auto".into()),
    }
}
