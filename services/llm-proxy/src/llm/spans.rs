//! Spans after OpenTelemetry's conventions for generative AI. Prompts and answers stay out of
//! them, unless a model is declared otherwise.
//! Source: <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>

use tracing::{Span, field, info_span, record_all};

use super::{Reply, Timing, Who, trouble::Reason};
use crate::{
    domain::Finish,
    model::{Deployment, Model},
};

/// A whole call.
pub(super) fn chat(model: &Model, who: &Who) -> Span {
    info_span!(
        "chat",
        otel.name = format!("chat {}", model.name),
        otel.kind = "client",
        gen_ai.operation.name = "chat",
        gen_ai.request.model = model.name,
        gen_ai.provider.name = field::Empty,
        gen_ai.response.model = field::Empty,
        gen_ai.response.id = field::Empty,
        gen_ai.response.finish_reasons = field::Empty,
        gen_ai.conversation.id = who.session,
        gen_ai.input.messages = field::Empty,
        gen_ai.output.messages = field::Empty,
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
        invocation_id = who.invocation,
        holdfast.deployment = field::Empty,
        holdfast.fallback = field::Empty,
        holdfast.waited_ms = field::Empty,
        holdfast.attempts = field::Empty,
        error.type = field::Empty,
        otel.status_code = field::Empty,
    )
}

/// A call's time in line.
pub(super) fn wait(deployment: &Deployment) -> Span {
    info_span!("llm.wait", holdfast.deployment = deployment.name)
}

/// A deployment answers, or begins to.
pub(super) fn landed(deployment: &Deployment, timing: &Timing) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    record_all!(
        span,
        gen_ai.provider.name = deployment.house.name,
        gen_ai.response.model = deployment.upstream,
        holdfast.deployment = deployment.name,
        holdfast.waited_ms = timing.waited.as_millis() as u64,
        holdfast.attempts = timing.attempts,
    );
}

/// These deployments were passed by.
pub(super) fn fell_back<'d>(passed: impl Iterator<Item = (&'d str, Reason)>) {
    let passed: Vec<_> = passed.map(|(name, reason)| format!("{name}: {}", reason.name())).collect();
    if !passed.is_empty() {
        Span::current().record("holdfast.fallback", passed.join(", "));
    }
}

/// The answer is whole.
pub(super) fn answered(span: &Span, reply: &Reply) {
    if span.is_disabled() {
        return;
    }
    let usage = reply.answer.usage.unwrap_or_default();
    record_all!(
        span,
        gen_ai.usage.input_tokens = usage.input_tokens,
        gen_ai.usage.output_tokens = usage.output_tokens,
        gen_ai.response.finish_reasons = finish(reply.answer.finish),
    );
}

/// It came to nothing.
pub(super) fn failed(span: &Span, why: &str) {
    span.record("error.type", why);
    span.record("otel.status_code", "ERROR");
}

pub(super) fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
        Finish::Other => "other",
    }
}
