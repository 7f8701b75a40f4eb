#![doc = include_str!("../README.md")]

mod cli;
mod commands;
mod exit;
mod output;
mod source;
mod times;
mod top;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: holdfast_rpc::service::Allocator = holdfast_rpc::service::Allocator;

fn main() -> ExitCode {
    commands::run(cli::Cli::parse())
}
