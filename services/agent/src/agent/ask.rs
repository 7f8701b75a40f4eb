//! One question to a model.

use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_proto::llm::v1::{GenerateRequest, GenerateResponse, ToolDefinition, stream_generate_response::Part};
use holdfast_sdk::{Context, Error, Failure};

use crate::{config::Agent, domain::conversation::Conversation};

pub(crate) fn request(agent: &Agent, conversation: &Conversation, tools: Vec<ToolDefinition>) -> GenerateRequest {
    GenerateRequest {
        model: agent.model.clone(),
        messages: conversation.messages(),
        tools,
        temperature: agent.temperature,
        ..Default::default()
    }
}

/// The answer, whole. A model that is full or away is waited for, up to the deadline.
pub(crate) async fn whole(context: &Context, request: GenerateRequest) -> Result<GenerateResponse, Failure> {
    context.generate(request).await.map_err(failure)
}

/// The answer, told to watchers as it comes. One that breaks off before its first word is asked for again; after it, the
/// attempt fails, for the next one writes chunks of its own.
pub(crate) async fn streaming(
    context: &Context,
    request: GenerateRequest,
    streamed: &AtomicBool,
) -> Result<GenerateResponse, Failure> {
    let mut parts = context.stream_generate(request.clone()).await.map_err(failure)?;
    loop {
        match parts.next().await {
            Ok(Some(Part::Text(text))) => {
                if let Err(error) = context.chunk(text).await {
                    tracing::debug!(invocation_id = context.id(), %error, "a chunk was not told to watchers");
                }
                streamed.store(true, Ordering::Relaxed);
            }
            Ok(Some(Part::End(whole))) => return Ok(whole),
            // The end has it whole.
            Ok(Some(Part::ToolCall(_))) => {}
            Ok(None) | Err(Error::Unavailable { .. }) if !streamed.load(Ordering::Relaxed) => {
                return whole(context, request).await;
            }
            Ok(None) => return Err(Failure::retryable("MODEL_STREAM_BROKEN", "the model's answer ended too early")),
            Err(error @ Error::LeaseGone { .. }) => return Err(error.into()),
            Err(error) => return Err(Failure::retryable("MODEL_STREAM_BROKEN", error.to_string())),
        }
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::NotFound(message) => Failure::fatal("MODEL_NOT_FOUND", message),
        Error::Invalid(message) => Failure::fatal("MODEL_REFUSED", message),
        Error::Busy { message, .. } | Error::Unavailable { message, .. } => {
            Failure::retryable("MODEL_UNAVAILABLE", message)
        }
        other => other.into(),
    }
}
