//! The agent pool as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast_rpc::service::main(holdfast_config::Peer::Agent, holdfast_agent::serve)
}
