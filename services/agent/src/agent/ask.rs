//! One question to a model.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use holdfast_proto::llm::v1::{GenerateRequest, GenerateResponse, ToolDefinition, stream_generate_response::Part};
use holdfast_sdk::{Context, Error, Failure};
use tokio::time::Instant;

use crate::{config::Agent, domain::conversation::Conversation};

/// A chunk that comes is told at once when the last one is this long ago; else it waits for more.
const CHUNK_INTERVAL: Duration = Duration::from_millis(200);

/// Largest chunk: below the queue's limit.
const CHUNK_BYTES: usize = 16 << 10;

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
    let mut telling = Telling::new(context);
    loop {
        match parts.next().await {
            Ok(Some(Part::Text(text))) => {
                streamed.store(true, Ordering::Relaxed);
                telling.add(&text).await;
            }
            Ok(Some(Part::End(whole))) => {
                telling.flush().await;
                return Ok(whole);
            }
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

/// The way of a text to its watchers: what came since the last chunk goes together, because the queue keeps only so many.
struct Telling<'a> {
    context: &'a Context,
    unsaid: String,
    next: Instant,
    /// After a gap the rest would make no sense.
    broken: bool,
}

impl<'a> Telling<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, unsaid: String::new(), next: Instant::now(), broken: false }
    }

    async fn add(&mut self, text: &str) {
        self.unsaid.push_str(text);
        if self.unsaid.len() >= CHUNK_BYTES || Instant::now() >= self.next {
            self.flush().await;
            self.next = Instant::now() + CHUNK_INTERVAL;
        }
    }

    async fn flush(&mut self) {
        let text = std::mem::take(&mut self.unsaid);
        if !self.broken {
            self.broken = !tell(self.context, &text).await;
        }
    }
}

/// Tells watchers a text, in chunks that the queue takes. Who waits for the result has it anyway, so a chunk that cannot
/// be told fails nothing.
pub(crate) async fn tell(context: &Context, text: &str) -> bool {
    for piece in text.as_bytes().chunks(CHUNK_BYTES) {
        if let Err(error) = context.chunk(piece.to_vec()).await {
            tracing::debug!(invocation_id = context.id(), %error, "a chunk was not told to watchers");
            return false;
        }
    }
    true
}

fn failure(error: Error) -> Failure {
    match error {
        Error::NotFound(message) => Failure::fatal("MODEL_NOT_FOUND", message),
        Error::Invalid(message) => Failure::fatal("MODEL_REFUSED", message),
        // The next day may have more, if the retry policy reaches so far.
        Error::Busy { reason, message, .. } if reason == "TENANT_BUDGET" => Failure::retryable(reason, message),
        Error::Busy { message, .. } | Error::Unavailable { message, .. } => {
            Failure::retryable("MODEL_UNAVAILABLE", message)
        }
        other => other.into(),
    }
}
