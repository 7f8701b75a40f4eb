//! What a call leaves in traces, logs and meters.

use std::fmt::Display;
use std::pin::pin;
use std::task::Poll;

use futures::poll;
use holdfast_rpc::Error;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, field, info_span, record_all, warn};

use super::Command;
use crate::catalog::Tool;
use crate::domain::{Outcome, Reply};
use crate::metrics;

/// Arguments and answers stay out of it, unless the tool's operator wants them in.
/// Source: <https://github.com/open-telemetry/semantic-conventions-genai>
pub(super) fn span(command: &Command) -> Span {
    let invocation = command.slot.as_ref().filter(|slot| slot.lease.is_some()).map(|slot| slot.partition.as_str());
    info_span!(
        "execute_tool",
        otel.name = format!("execute_tool {}", command.tool),
        otel.kind = "client",
        otel.status_code = field::Empty,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = command.tool,
        gen_ai.tool.r#type = "function",
        gen_ai.tool.call.arguments = field::Empty,
        gen_ai.tool.call.result = field::Empty,
        invocation_id = invocation,
        holdfast.tool.outcome = field::Empty,
        holdfast.tool.fallback = field::Empty,
        holdfast.tool.fallbacks_tried = field::Empty,
        holdfast.tool.replayed = field::Empty,
        holdfast.tool.attempts = field::Empty,
        holdfast.tool.waited_ms = field::Empty,
        holdfast.tool.called_ms = field::Empty,
        error.r#type = field::Empty,
    )
}

/// A call's time in the tool's line. Most find a place at once: they have no wait to tell of.
pub(super) async fn in_line<T>(tool: &str, waiting: impl Future<Output = T>) -> T {
    let mut waiting = pin!(waiting);
    match poll!(waiting.as_mut()) {
        Poll::Ready(place) => place,
        Poll::Pending => waiting.instrument(info_span!("tool.wait", holdfast.tool.name = tool)).await,
    }
}

/// The links of a fallback chain that had nothing to say, and the one that had.
pub(super) fn stood_in(tool: &Tool, tried: &[String], stand_in: &dyn Display) {
    let span = Span::current();
    span.record("holdfast.tool.fallback", field::display(stand_in));
    if !tried.is_empty() {
        span.record("holdfast.tool.fallbacks_tried", tried.join(","));
        debug!(tool = tool.name, tried = tried.join(","), stand_in = %stand_in, "links of the chain were passed over");
    }
}

/// Tells what becomes of a call, also of one whose caller goes away.
pub(super) struct Telling<'a> {
    span: Span,
    tool: &'a Tool,
    since: Instant,
    ended: bool,
}

impl<'a> Telling<'a> {
    pub(super) fn begin(span: Span, tool: &'a Tool, arguments: &[u8]) -> Self {
        let telling = Self { span, tool, since: Instant::now(), ended: false };
        telling.content("gen_ai.tool.call.arguments", arguments);
        telling
    }

    pub(super) fn end(mut self, reply: &Result<Reply, Error>) {
        self.ended = true;
        match reply {
            Ok(reply) => self.answered(reply),
            Err(error) => {
                self.span.record("error.type", error.reason());
                self.span.record("otel.status_code", "ERROR");
                self.tool.meters.refused(self.since.elapsed());
            }
        }
    }

    fn answered(&self, Reply { answer, timing, replayed }: &Reply) {
        self.tool.meters.answered(answer.outcome, *replayed, *timing, self.since.elapsed());
        if self.span.is_disabled() {
            return;
        }
        record_all!(
            self.span,
            holdfast.tool.outcome = answer.outcome.name(),
            holdfast.tool.replayed = *replayed,
            holdfast.tool.attempts = timing.attempts,
            holdfast.tool.waited_ms = timing.waited.as_secs_f64() * 1e3,
            holdfast.tool.called_ms = timing.called.as_secs_f64() * 1e3,
        );
        if !answer.reason.is_empty() {
            self.span.record("error.type", &answer.reason);
        }
        self.content("gen_ai.tool.call.result", &answer.content);
        let own = matches!(answer.outcome, Outcome::Real | Outcome::ToolError);
        if own || *replayed {
            return;
        }
        let (outcome, reason) = (answer.outcome.name(), &answer.reason);
        self.span.in_scope(|| match reason.as_str() {
            // That it opened has been said; a line for each call until it closes would bury the rest.
            "CIRCUIT_OPEN" => debug!(outcome, reason, "the tool is not asked: something else stands in"),
            _ => warn!(outcome, reason, "the tool did not answer: something else stands in"),
        });
    }

    /// What was asked or answered, as far as it may be seen.
    fn content(&self, field: &'static str, content: &[u8]) {
        if let Some(redaction) = self.tool.traced.as_ref().filter(|_| !self.span.is_disabled()) {
            self.span.record(field, redaction.text(content));
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.span.record("error.type", "CANCELLED");
            metrics::cancelled(&self.tool.name);
        }
    }
}
