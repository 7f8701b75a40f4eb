//! `holdfast rehearse`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use holdfast_rehearsal::Which;

/// Without --address it starts meshes of its own on temporary data, one after the other: as a pilot is built, and protected.
/// Models and tools are simulated. The exit code is 1 where a promise is broken.
#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// The scenario: a built-in one, or a file
    #[arg(value_name = "SCENARIO|FILE", required_unless_present = "list")]
    pub(crate) scenario: Option<String>,
    /// List the built-in scenarios
    #[arg(long)]
    pub(crate) list: bool,
    /// A day's invocations, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) volume: Option<u64>,
    /// How many times of that volume
    #[arg(long, value_name = "K", value_parser = factor)]
    pub(crate) times: Option<f64>,
    /// Draw arrivals, faults and choices from another number
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Write a report for people: one file with plots, to be opened in a browser
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// A short form, of seconds instead of minutes: fewer invocations, so fewer things can be judged
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only print the holdfast.toml of one side, for a mesh that --address is to drive
    #[arg(long, value_name = "SIDE")]
    pub(crate) settings: Option<Side>,
    /// With --address: the URL of the simulator that stands behind that mesh [default: mesh.simulator of the configuration]
    #[arg(long, value_name = "URL")]
    pub(crate) simulator: Option<String>,
    /// With --address: drive that mesh even where its models or tools are real ones, which do and charge what they are asked for
    #[arg(long)]
    pub(crate) real_ends: bool,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// As a pilot is built
    Off,
    /// Protected
    On,
}

impl From<Side> for Which {
    fn from(side: Side) -> Self {
        match side {
            Side::Off => Self::Off,
            Side::On => Self::On,
        }
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(times) if times > 0.0 && times <= 10_000.0 => Ok(times),
        _ => Err("a number above 0, up to 10000".into()),
    }
}
