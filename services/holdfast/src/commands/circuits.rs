//! `circuits`, and `circuits set`.

use holdfast_proto::tool::v1::SetCircuitRequest;
use holdfast_sdk::{Error, Tools};

use super::gateway::Gateway;
use crate::cli::{Circuits, CircuitsCommand, CircuitsSet};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output, circuit_json};

/// Shows circuits, or says something of one.
pub(super) async fn run(gateway: &Gateway, arguments: Circuits, output: Output) -> Result<Exit, Failure> {
    let tools = gateway.client().await?.tools();
    match arguments.command {
        Some(CircuitsCommand::Set(arguments)) => set(tools, arguments, output).await,
        None if arguments.watch => watch(tools, output).await,
        None => list(tools, output).await,
    }
}

/// Prints them as they stand.
async fn list(tools: Tools, output: Output) -> Result<Exit, Failure> {
    for circuit in tools.circuits().await? {
        output.print(|| circuit_json(&circuit), || output::circuit(&circuit));
    }
    Ok(Exit::Done)
}

/// Prints them as they stand, then each change as it comes.
async fn watch(tools: Tools, output: Output) -> Result<Exit, Failure> {
    let mut news = tools.watch_circuits().await?;
    while let Some(told) = news.message().await.map_err(Error::from)? {
        let circuit = told.circuit.unwrap_or_default();
        if !output.print(|| circuit_json(&circuit), || output::circuit_change(&circuit)) {
            break;
        }
    }
    Ok(Exit::Done)
}

/// Sets one, and prints how it stands then.
async fn set(tools: Tools, arguments: CircuitsSet, output: Output) -> Result<Exit, Failure> {
    let CircuitsSet { name, mode, reason } = arguments;
    let request = SetCircuitRequest { name, mode: mode.into(), reason };
    let circuit = tools.set_circuit(request).await?;
    output.print(|| circuit_json(&circuit), || output::circuit(&circuit));
    Ok(Exit::Done)
}
