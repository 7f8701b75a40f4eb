//! `circuits`.

use holdfast_proto::tool::v1::ListCircuitsRequest;
use holdfast_proto::tool::v1::tool_service_client::ToolServiceClient;
use holdfast_sdk::Error;

use super::gateway::Gateway;
use crate::exit::{Exit, Failure};
use crate::output::{self, Output, circuit_json};

/// Prints the breakers as they stand.
pub(super) async fn list(gateway: &Gateway, output: Output) -> Result<Exit, Failure> {
    let mut tools = ToolServiceClient::new(gateway.channel().await?);
    let answer = tools.list_circuits(ListCircuitsRequest {}).await.map_err(Error::from)?;
    for circuit in answer.into_inner().circuits {
        output.print(|| circuit_json(&circuit), || output::circuit(&circuit));
    }
    Ok(Exit::Done)
}
