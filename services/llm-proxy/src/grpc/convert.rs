//! Between the wire's types and the domain's.

use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::{Error, time};
use prost::Message as _;
use serde_json::{Map, Value};

use crate::{
    domain::{Ask, Finish, Message, Part, Role, Tool, ToolCall, Usage},
    llm::{Piece, Reply, Timing},
    model::Model,
};

/// Fields that `extra` may not set: the request says them itself.
const RESERVED: [&str; 5] = ["model", "messages", "tools", "stream", "stream_options"];

pub(crate) fn ask(request: pb::GenerateRequest) -> Result<Ask, Error> {
    let bytes = request.encoded_len();
    if request.messages.is_empty() {
        return Err(Error::invalid("messages", "is empty"));
    }
    if request.temperature.is_some_and(|temperature| !temperature.is_finite()) {
        return Err(Error::invalid("temperature", "must be a number"));
    }
    Ok(Ask {
        bytes,
        messages: request
            .messages
            .into_iter()
            .enumerate()
            .map(|(at, said)| message(at, said))
            .collect::<Result<_, _>>()?,
        tools: request
            .tools
            .into_iter()
            .enumerate()
            .map(|(at, offered)| tool(at, offered))
            .collect::<Result<_, _>>()?,
        temperature: request.temperature,
        max_output_tokens: (request.max_output_tokens > 0).then_some(request.max_output_tokens),
        extra: extra(&request.extra)?,
        model: request.model,
    })
}

fn message(at: usize, message: pb::Message) -> Result<Message, Error> {
    let role = match message.role() {
        pb::Role::System => Role::System,
        pb::Role::User => Role::User,
        pb::Role::Assistant => Role::Assistant,
        pb::Role::Tool => Role::Tool,
        pb::Role::Unspecified => return Err(Error::invalid(format!("messages[{at}].role"), "is missing")),
    };
    let tool_calls = message.tool_calls.into_iter();
    Ok(Message {
        role,
        content: message.content,
        tool_calls: tool_calls.map(|pb::ToolCall { id, name, arguments }| ToolCall { id, name, arguments }).collect(),
        tool_call_id: message.tool_call_id,
    })
}

fn tool(at: usize, tool: pb::ToolDefinition) -> Result<Tool, Error> {
    let invalid = |why: String| Error::invalid(format!("tools[{at}].input_schema"), why);
    let input_schema = if tool.input_schema.is_empty() {
        serde_json::json!({"type": "object"})
    } else {
        serde_json::from_slice(&tool.input_schema).map_err(|error| invalid(format!("is not JSON: {error}")))?
    };
    Ok(Tool { name: tool.name, description: tool.description, input_schema })
}

fn extra(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let fields: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid("extra", format!("is not a JSON object: {error}")))?;
    match RESERVED.iter().find(|name| fields.contains_key(**name)) {
        Some(name) => Err(Error::invalid("extra", format!("{name} is said by the request itself"))),
        None => Ok(fields),
    }
}

pub(crate) fn reply(reply: Reply) -> pb::GenerateResponse {
    let Reply { answer, deployment, timing: Timing { waited, called, attempts }, degraded } = reply;
    let calls = answer.tool_calls.into_iter();
    let message = pb::Message {
        role: pb::Role::Assistant.into(),
        content: answer.text,
        tool_calls: calls.map(|ToolCall { id, name, arguments }| pb::ToolCall { id, name, arguments }).collect(),
        tool_call_id: String::new(),
    };
    let Usage { input_tokens, output_tokens } = answer.usage.unwrap_or_default();
    let timing = pb::Timing { waited: Some(time::duration(waited)), called: Some(time::duration(called)), attempts };
    pb::GenerateResponse {
        message: Some(message),
        finish_reason: finish(answer.finish).into(),
        usage: Some(pb::TokenUsage { input_tokens, output_tokens }),
        deployment,
        timing: Some(timing),
        degraded,
    }
}

fn finish(finish: Finish) -> pb::FinishReason {
    match finish {
        Finish::Stop => pb::FinishReason::Stop,
        Finish::ToolCalls => pb::FinishReason::ToolCalls,
        Finish::Length => pb::FinishReason::Length,
        Finish::ContentFilter => pb::FinishReason::ContentFilter,
        Finish::Other => pb::FinishReason::Unspecified,
    }
}

pub(crate) fn piece(piece: Piece) -> pb::StreamGenerateResponse {
    use pb::stream_generate_response::{Part as Wire, ToolCallPart};
    let part = match piece {
        Piece::Part(Part::Text(text)) => Some(Wire::Text(text)),
        Piece::Part(Part::ToolCall { index, id, name, arguments }) => {
            Some(Wire::ToolCall(ToolCallPart { index, id, name, arguments }))
        }
        // How it finished and what it cost stands in the end.
        Piece::Part(Part::Finish(_) | Part::Usage(_)) => None,
        Piece::End(end) => Some(Wire::End(reply(*end))),
    };
    pb::StreamGenerateResponse { part }
}

pub(crate) fn model(model: &Model) -> pb::Model {
    pb::Model {
        name: model.name.clone(),
        deployments: model.deployments.iter().map(|deployment| deployment.name.clone()).collect(),
        simulated: model.simulated(),
    }
}
