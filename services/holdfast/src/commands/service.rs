//! One service as a process of its own.

use std::process::ExitCode;

use holdfast_config::Peer;
use holdfast_rpc::service;

use crate::exit::{Exit, Failure};
use crate::source::{Overrides, Source};

/// Runs a service until it is told to stop.
pub(super) fn run(peer: Peer, source: &Source) -> ExitCode {
    let document = match source.load(&Overrides::new()) {
        Ok(document) => document,
        Err(error) => {
            eprintln!("holdfast {}: {}", peer.name(), Failure::from(error));
            return Exit::Usage.into();
        }
    };
    match peer {
        Peer::Gateway => service::run(peer, &document, holdfast_gateway::serve),
        Peer::Queue => service::run(peer, &document, holdfast_queue::serve),
        Peer::State => service::run(peer, &document, holdfast_state::serve),
        Peer::ToolProxy => service::run(peer, &document, holdfast_tool_proxy::serve),
        Peer::LlmProxy => service::run(peer, &document, holdfast_llm_proxy::serve),
        Peer::Agent => service::run(peer, &document, holdfast_agent::serve),
        Peer::Simulator => service::run(peer, &document, holdfast_simulator::serve),
    }
}
