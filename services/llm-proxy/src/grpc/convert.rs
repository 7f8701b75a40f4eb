//! Between the wire's types and the domain's.

mod wire;

use holdfast_proto::llm::v1 as pb;
use holdfast_rpc::{Error, time};
use prost::Message as _;
use serde_json::value::RawValue;

use crate::{
    domain::{Ask, Fields, Finish, Form, Part, ToolCall, Usage},
    llm::{Piece, Reply, Timing},
    model::Model,
};

/// Fields that `extra` may not set: the request says them itself.
const RESERVED: [&str; 8] =
    ["model", "messages", "tools", "stream", "stream_options", "temperature", "max_tokens", "max_completion_tokens"];
/// How far a priority may be from none.
const PRIORITY_MAX: i32 = 100;

pub(crate) fn ask(request: pb::GenerateRequest) -> Result<Ask, Error> {
    let bytes = request.encoded_len();
    if request.messages.is_empty() {
        return Err(Error::invalid("messages", "is empty"));
    }
    if request.temperature.is_some_and(|temperature| !temperature.is_finite()) {
        return Err(Error::invalid("temperature", "must be a number"));
    }
    if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&request.priority) {
        return Err(Error::invalid("priority", format!("must be from -{PRIORITY_MAX} to {PRIORITY_MAX}")));
    }
    let mut fields = extra(&request.extra)?;
    let messages = request.messages.iter().enumerate().map(|(at, said)| message(at, said));
    fields.insert("messages".into(), raw(&messages.collect::<Result<Vec<_>, _>>()?));
    if !request.tools.is_empty() {
        let tools = request.tools.iter().enumerate().map(|(at, offered)| tool(at, offered));
        fields.insert("tools".into(), raw(&tools.collect::<Result<Vec<_>, _>>()?));
    }
    if let Some(temperature) = request.temperature {
        fields.insert("temperature".into(), raw(&temperature));
    }
    Ok(Ask {
        model: request.model,
        fields,
        max_output_tokens: (request.max_output_tokens > 0).then_some(request.max_output_tokens),
        limited_by: "max_output_tokens",
        stream_options: Fields::new(),
        priority: request.priority,
        form: Form::Said,
        bytes,
    })
}

fn message<'m>(at: usize, message: &'m pb::Message) -> Result<wire::Message<'m>, Error> {
    let role = match message.role() {
        pb::Role::System => "system",
        pb::Role::User => "user",
        pb::Role::Assistant => "assistant",
        pb::Role::Tool => "tool",
        pb::Role::Unspecified => return Err(Error::invalid(format!("messages[{at}].role"), "is missing")),
    };
    let calls = message.tool_calls.iter().map(|call| wire::ToolCall {
        id: &call.id,
        kind: "function",
        function: wire::Called { name: &call.name, arguments: &call.arguments },
    });
    Ok(wire::Message {
        role,
        content: (!message.content.is_empty() || message.tool_calls.is_empty()).then_some(&message.content),
        tool_calls: calls.collect(),
        tool_call_id: (message.role() == pb::Role::Tool).then_some(&message.tool_call_id),
    })
}

fn tool<'t>(at: usize, tool: &'t pb::ToolDefinition) -> Result<wire::Tool<'t>, Error> {
    let invalid = |why: String| Error::invalid(format!("tools[{at}].input_schema"), why);
    let schema = if tool.input_schema.is_empty() { br#"{"type":"object"}"# } else { &tool.input_schema[..] };
    let parameters = serde_json::from_slice(schema).map_err(|error| invalid(format!("is not JSON: {error}")))?;
    let function = wire::Function { name: &tool.name, description: &tool.description, parameters };
    Ok(wire::Tool { kind: "function", function })
}

fn extra(bytes: &[u8]) -> Result<Fields, Error> {
    if bytes.is_empty() {
        return Ok(Fields::new());
    }
    let fields: Fields = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid("extra", format!("is not a JSON object: {error}")))?;
    match RESERVED.iter().find(|name| fields.contains_key(**name)) {
        Some(name) => Err(Error::invalid("extra", format!("{name} is said by the request itself"))),
        None => Ok(fields),
    }
}

fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("these types are JSON")
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

pub(crate) fn piece(piece: Piece) -> Vec<pb::StreamGenerateResponse> {
    use pb::stream_generate_response::{Part as Wire, ToolCallPart};
    let part = |part| match part {
        Part::Text(text) => Some(Wire::Text(text)),
        Part::ToolCall { index, id, name, arguments } => {
            Some(Wire::ToolCall(ToolCallPart { index, id, name, arguments }))
        }
        // How it finished and what it cost stands in the end.
        Part::Finish(_) | Part::Usage(_) => None,
    };
    let parts = match piece {
        Piece::Chunk(chunk) => chunk.parts.into_iter().filter_map(part).collect(),
        Piece::End(end) => vec![Wire::End(reply(*end))],
    };
    parts.into_iter().map(|part| pb::StreamGenerateResponse { part: Some(part) }).collect()
}

pub(crate) fn model(model: &Model) -> pb::Model {
    pb::Model {
        name: model.name.clone(),
        deployments: model.deployments.iter().map(|deployment| deployment.name.clone()).collect(),
        simulated: model.simulated(),
        only_simulated: model.only_simulated(),
    }
}
