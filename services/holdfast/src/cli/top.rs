//! `holdfast top`, as its help shows it.

use clap::Args;

/// Keys: `?` shows them. `--once` and `--json` need no terminal.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print how things stand once, and end; with --json as one document
    #[arg(long)]
    pub(crate) once: bool,
    /// The gateway's port, where `holdfast up --port-base` gave it one; the other services have the ones after it
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_529))]
    pub(crate) port_base: Option<u16>,
}
