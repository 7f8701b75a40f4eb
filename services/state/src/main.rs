//! The state service on its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast_rpc::service::main(holdfast_config::Peer::State, holdfast_state::serve)
}
