//! The gateway, shipped alone.

use std::process::ExitCode;

use holdfast_config::Peer;

fn main() -> ExitCode {
    holdfast_rpc::service::main(Peer::Gateway, holdfast_gateway::serve)
}
