//! The use cases: one answer, whole or as it comes.

mod attempt;
mod flow;
mod trouble;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use holdfast_resilience::RetryBudget;
use holdfast_rpc::{Caller, Error, deadline};
use tokio::time::Instant;
use tracing::{Instrument, Span, field, info_span};

use self::attempt::Attempt;
use crate::{
    domain::{Answer, Ask, Chunk, Finish, Part, Usage},
    metrics,
    model::Model,
};

/// Everything that this service does.
#[derive(Debug)]
pub(crate) struct Llm {
    models: BTreeMap<String, Model>,
    /// Repeats at the same provider, over all of them.
    retries: RetryBudget,
    /// How long a call waits that names no deadline.
    wait_max: Duration,
}

/// For whom a model is called.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) tenant: String,
    /// The invocation's session, where the call is made for one.
    pub(crate) session: Option<String>,
    pub(crate) invocation: Option<String>,
}

impl Who {
    /// Whoever calls, under the lease that they show.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where a service of the mesh names no tenant.
    pub(crate) fn of(caller: &Caller) -> Result<Self, Error> {
        let lease = caller.lease.as_ref();
        Ok(Self {
            tenant: caller.tenant()?.to_owned(),
            session: lease.map(|lease| lease.session.clone()).filter(|session| !session.is_empty()),
            invocation: lease.map(|lease| lease.invocation_id.clone()),
        })
    }
}

/// An answer, and how it came about.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// `provider/upstream-model`; empty where none answered.
    pub(crate) deployment: String,
    pub(crate) timing: Timing,
    /// The model's fallback answered, and no model did.
    pub(crate) degraded: bool,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    pub(crate) waited: Duration,
    pub(crate) called: Duration,
    pub(crate) attempts: u32,
}

/// What a stream carries.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Chunk(Chunk),
    End(Box<Reply>),
}

pub(crate) type Pieces = BoxStream<'static, Result<Piece, Error>>;

impl Llm {
    pub(crate) fn new(models: Vec<Model>, wait_max: Duration) -> Self {
        let models = models.into_iter().map(|model| (model.name.clone(), model)).collect();
        Self { models, retries: RetryBudget::default(), wait_max }
    }

    pub(crate) fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }

    /// The answer, whole.
    ///
    /// # Errors
    /// NOT_FOUND, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE: as the contract says.
    pub(crate) async fn generate(&self, who: &Who, ask: &Ask) -> Result<Reply, Error> {
        let model = self.model(&ask.model)?;
        let attempt = self.attempt(model, who, ask);
        let replied = async {
            match attempt.land(|deployment, call| deployment.house.provider.whole(call)).await {
                Ok((answer, flight)) => {
                    let reply = flight.done(answer);
                    account(&model.name, who, &reply);
                    Ok(reply)
                }
                Err(error) => self.without(model, error),
            }
        };
        replied.instrument(chat_span(model, who)).await
    }

    /// The answer as it comes. What fails before its first part falls back unseen.
    ///
    /// # Errors
    /// As [`Self::generate`]; in the stream UNAVAILABLE where the text ends before its end.
    pub(crate) async fn stream(self: &Arc<Self>, who: Who, ask: Ask) -> Result<Pieces, Error> {
        let span = chat_span(self.model(&ask.model)?, &who);
        flow::open(self.clone(), who, ask).instrument(span).await
    }

    fn model(&self, name: &str) -> Result<&Model, Error> {
        self.models.get(name).ok_or_else(|| Error::not_found(format!("model {name:?} in the configuration")))
    }

    fn attempt<'a>(&'a self, model: &'a Model, who: &Who, ask: &'a Ask) -> Attempt<'a> {
        let latest = Instant::now() + self.wait_max;
        let deadline = deadline::current().map_or(latest, |deadline| deadline.min(latest));
        Attempt::new(model, &who.tenant, ask, &self.retries, deadline)
    }

    /// The last fallback: a fixed answer where no deployment can be had. A refusal of the request itself stays one.
    fn without(&self, model: &Model, error: Error) -> Result<Reply, Error> {
        Span::current().record("error.type", error.reason());
        let gone = error.code() == tonic::Code::Unavailable;
        let Some(text) = model.fallback.as_ref().filter(|_| gone) else { return Err(error) };
        tracing::warn!(model = model.name, %error, "no deployment answered: the model's fallback did");
        let answer = Answer { text: text.clone(), finish: Finish::Stop, ..Answer::default() };
        Ok(Reply { answer, deployment: String::new(), timing: Timing::default(), degraded: true })
    }
}

/// Counts the tokens, in metrics and in the trace.
fn account(model: &str, who: &Who, reply: &Reply) {
    let Usage { input_tokens, output_tokens } = reply.answer.usage.unwrap_or_default();
    metrics::used(model, &who.tenant, Usage { input_tokens, output_tokens });
    let span = Span::current();
    span.record("gen_ai.usage.input_tokens", input_tokens);
    span.record("gen_ai.usage.output_tokens", output_tokens);
}

/// A span after OpenTelemetry's conventions for generative AI. Prompts and answers stay out of it.
/// Source: <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>
fn chat_span(model: &Model, who: &Who) -> Span {
    info_span!(
        "chat",
        otel.name = format!("chat {}", model.name),
        otel.kind = "client",
        gen_ai.operation.name = "chat",
        gen_ai.request.model = model.name,
        gen_ai.provider.name = field::Empty,
        gen_ai.response.model = field::Empty,
        gen_ai.conversation.id = who.session,
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
        invocation_id = who.invocation,
        holdfast.waited_ms = field::Empty,
        holdfast.attempts = field::Empty,
        error.type = field::Empty,
    )
}

/// A fallback's answer as a stream.
fn fixed(reply: Reply) -> Pieces {
    let chunk = Chunk { parts: vec![Part::Text(reply.answer.text.clone())], json: None };
    futures::stream::iter([Ok(Piece::Chunk(chunk)), Ok(Piece::End(Box::new(reply)))]).boxed()
}
