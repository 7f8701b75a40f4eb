//! The agent pool as a process of its own.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: holdfast_rpc::service::Allocator = holdfast_rpc::service::Allocator;

fn main() -> ExitCode {
    holdfast_rpc::service::main(holdfast_config::Peer::Agent, holdfast_agent::serve)
}
