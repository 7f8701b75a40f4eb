//! The calls of one answer, made at once, and told to the model.

pub(crate) mod builtin;

use futures::{StreamExt as _, TryStreamExt as _};
use holdfast_sdk::{Context, Error, Failure, Json};

use crate::{
    catalog::Catalog,
    config::Agent,
    domain::{
        answer::{Call, ToolText},
        envelope::{mistake, told},
    },
};

/// Makes the calls of a step, so many at once, and answers in their order.
pub(crate) async fn call_all(
    context: &Context,
    catalog: &Catalog,
    agent: &Agent,
    step: u32,
    calls: &[Call],
) -> Result<Vec<ToolText>, Failure> {
    let mut answers = Vec::with_capacity(calls.len());
    for (index, call) in (0..).zip(calls) {
        answers.push(async move {
            let content = call_one(context, catalog, agent, call, (step, index)).await?;
            Ok::<_, Failure>(ToolText { call_id: call.id.clone(), tool: call.tool.clone(), content })
        });
    }
    futures::stream::iter(answers).buffered(agent.parallel_tools_max as usize).try_collect().await
}

async fn call_one(
    context: &Context,
    catalog: &Catalog,
    agent: &Agent,
    call: &Call,
    place: (u32, u32),
) -> Result<String, Failure> {
    if !agent.tools.contains(&call.tool) {
        let message = format!("there is no tool {:?}; there are {}", call.tool, agent.tools.join(", "));
        return Ok(mistake("UNKNOWN_TOOL", &message));
    }
    let arguments = match arguments(&call.arguments) {
        Ok(arguments) => arguments,
        Err(message) => return Ok(mistake("BAD_ARGUMENTS", &message)),
    };
    let outcome = match builtin::is_one(&call.tool) {
        true => builtin::call(context, &call.tool, &arguments, place).await,
        false => context.call_tool(&call.tool, &arguments, place.0, place.1).await.map(|answer| told(&answer)),
    };
    match outcome {
        Err(Error::Invalid(message)) => Ok(mistake("BAD_ARGUMENTS", &message)),
        Err(Error::NotFound(message)) => {
            catalog.forget(&call.tool);
            Ok(mistake("UNKNOWN_TOOL", &message))
        }
        other => Ok(other?),
    }
}

/// What a model wrote, as a JSON object; nothing counts as none.
fn arguments(written: &str) -> Result<Json, String> {
    if written.trim().is_empty() {
        return Ok(Json::Object(serde_json::Map::new()));
    }
    match serde_json::from_str(written) {
        Ok(arguments @ Json::Object(_)) => Ok(arguments),
        Ok(_) => Err("the arguments must be a JSON object".into()),
        Err(error) => Err(format!("the arguments are not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_or_the_models_mistake() {
        assert!(arguments("{\"a\": 1}").is_ok() && arguments("").is_ok());
        for wrong in ["[1]", "1", "{\"a\":", "call it"] {
            assert!(arguments(wrong).is_err(), "{wrong}");
        }
    }
}
