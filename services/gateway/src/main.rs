//! The gateway, shipped alone.

use std::process::ExitCode;

use holdfast_config::Peer;

#[global_allocator]
static ALLOCATOR: holdfast_rpc::service::Allocator = holdfast_rpc::service::Allocator;

fn main() -> ExitCode {
    holdfast_rpc::service::main(Peer::Gateway, holdfast_gateway::serve)
}
