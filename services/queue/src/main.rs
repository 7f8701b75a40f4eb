//! The queue as a process of its own.

use std::process::ExitCode;

use holdfast_config::Peer;

fn main() -> ExitCode {
    holdfast_rpc::service::main(Peer::Queue, holdfast_queue::serve)
}
