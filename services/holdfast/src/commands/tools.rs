//! `tools list` and `tools call`.

use std::collections::HashMap;

use holdfast_proto::tool::v1::{CallToolRequest, CircuitState, ListToolsRequest, Outcome};
use holdfast_rpc::deadline;
use holdfast_sdk::{Error, Tools};
use tokio::time::Instant;

use super::gateway::Gateway;
use super::input;
use crate::cli::{ToolsCall, ToolsCommand, ToolsList};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};

/// Runs a command about tools.
pub(super) async fn run(command: ToolsCommand, gateway: &Gateway, output: Output) -> Result<Exit, Failure> {
    match command {
        ToolsCommand::List(arguments) => list(gateway, arguments, output).await,
        ToolsCommand::Call(arguments) => call(gateway, arguments, output).await,
    }
}

async fn list(gateway: &Gateway, arguments: ToolsList, output: Output) -> Result<Exit, Failure> {
    let tools = gateway.client().await?.tools();
    let circuits = circuits(&tools).await?;
    let mut request = ListToolsRequest { names: arguments.names, ..Default::default() };
    loop {
        let page = tools.list(request.clone()).await?;
        for tool in &page.tools {
            let circuit = circuits.as_ref().and_then(|circuits| circuits.get(&tool.name)).copied();
            if !output.print(|| output::tool_json(tool, circuit), || output::tool_row(tool, circuit)) {
                return Ok(Exit::Done);
            }
        }
        if page.next_page_token.is_empty() {
            return Ok(Exit::Done);
        }
        request.page_token = page.next_page_token;
    }
}

/// Where the tools' circuits stand, by name; nothing for a key that may not know it.
async fn circuits(tools: &Tools) -> Result<Option<HashMap<String, CircuitState>>, Failure> {
    match tools.circuits().await {
        Ok(circuits) => Ok(Some(circuits.into_iter().map(|circuit| (circuit.name.clone(), circuit.state())).collect())),
        Err(Error::Denied(_)) => Ok(None),
        Err(refused) => Err(refused.into()),
    }
}

/// Whoever wants a lost answer asked for again names a key for the call.
async fn call(gateway: &Gateway, arguments: ToolsCall, output: Output) -> Result<Exit, Failure> {
    let request = CallToolRequest {
        tool: arguments.name.clone(),
        arguments: input::json(&arguments.arguments)?.into(),
        idempotency_key: arguments.idempotency_key.unwrap_or_default(),
        ..Default::default()
    };
    let too_far = || Failure::Usage("--deadline is too far away".into());
    let until = arguments.deadline.map(|span| Instant::now().checked_add(span).ok_or_else(too_far)).transpose()?;
    let tools = gateway.client().await?.tools();
    let answer = deadline::scope(until, tools.call(request)).await?;
    output.print(|| output::tool_answer_json(&arguments.name, &answer), || output::tool_answer(&answer));
    Ok(match answer.outcome() {
        Outcome::Real | Outcome::Cached | Outcome::Degraded => Exit::Done,
        Outcome::ToolError | Outcome::Unavailable | Outcome::Unknown | Outcome::Unspecified => Exit::Failed,
    })
}
