//! One attempt: from the lease to what is reported of it.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt as _;
use holdfast_rpc::{deadline, trace};
use holdfast_telemetry::traceparent;
use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, field};

use crate::{
    Context, Failure, Output,
    held::Held,
    worker::{handler::Handler, report::Report},
};

/// Runs the handler. `None` where there is nothing to report, because the lease is gone: whoever took it, or ended the
/// invocation, has reported already.
pub(crate) async fn run(
    context: Context,
    held: Arc<Held>,
    handler: Arc<dyn Handler>,
    hand_back: CancellationToken,
) -> Option<Report> {
    let span = span(&held);
    // The queue tells of the attempt when it is over, also where this process was killed: nothing but its own spans hangs
    // below those of this process.
    let under_trace = trace::firm_scope(held.traceparent.clone(), work(&context, &held, &*handler));
    let under_deadline = deadline::scope(held.deadline, under_trace.instrument(span.clone()));
    let report = tokio::select! {
        biased;
        reason = held.gone() => {
            span.in_scope(|| tracing::info!(reason, "the lease is gone: the handler is stopped"));
            None
        }
        () = passed(held.deadline) => {
            let failure = Failure::fatal("DEADLINE_PASSED", "the invocation's deadline passed");
            Some(Report::Fail { failure, usage: context.usage() })
        }
        () = hand_back.cancelled() => Some(Report::Release),
        report = under_deadline => report,
    };
    match &report {
        Some(Report::Fail { failure, .. }) if failure.retryable => context.record_usage().await,
        Some(Report::Release) => context.record_usage().await,
        // Its lease is gone, and with it every way to record anything.
        None => context.tell_usage().await,
        Some(_) => {}
    }
    tell(&span, report.as_ref());
    report
}

/// What came of an attempt, for the trace and the log: the span names the trace, the invocation and the attempt.
fn tell(span: &Span, report: Option<&Report>) {
    let _entered = span.enter();
    match report {
        Some(Report::Complete { .. }) => tracing::info!("the invocation is done"),
        Some(Report::Fail { failure, .. }) => {
            span.record("error.type", failure.reason.as_str());
            span.record("otel.status_code", "ERROR");
            // Its words may be a caller's, a model's or a tool's: they stand in the record, and not in logs and traces.
            tracing::warn!(reason = failure.reason, retryable = failure.retryable, "the attempt failed");
        }
        Some(Report::Release) => tracing::info!("the invocation is handed back"),
        None => {}
    }
}

async fn work(context: &Context, held: &Held, handler: &dyn Handler) -> Option<Report> {
    // An earlier holder may still be at work somewhere: from here on it cannot write. A lease does not tell whether there
    // was one: one that was released leaves no trace in the invocation's counts.
    if let Err(error) = context.state().register_fence().await {
        return outcome(context, held, Err(error.into()));
    }
    if let Err(error) = context.recall_usage().await {
        return outcome(context, held, Err(error.into()));
    }
    let result = match input(held) {
        Ok(input) => AssertUnwindSafe(handler.handle(context.clone(), input))
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(Failure::retryable("PANIC", said(&*panic)))),
        Err(failure) => Err(failure),
    };
    outcome(context, held, result)
}

fn outcome(context: &Context, held: &Held, result: Result<Output, Failure>) -> Option<Report> {
    let usage = context.usage();
    match result {
        _ if held.is_gone() => None,
        Ok(output) => Some(Report::Complete { output, usage }),
        Err(failure) => Some(Report::Fail { failure, usage }),
    }
}

/// The input as JSON; bytes of another type are handed over as text.
fn input(held: &Held) -> Result<Json, Failure> {
    let Some(payload) = held.invocation.spec.as_ref().and_then(|spec| spec.payload.as_ref()) else {
        return Ok(Json::Null);
    };
    if payload.data.is_empty() {
        return Ok(Json::Null);
    }
    if payload.content_type.is_empty() || payload.content_type.starts_with("application/json") {
        return serde_json::from_slice(&payload.data)
            .map_err(|error| Failure::fatal("BAD_INPUT", format!("the input is not JSON: {error}")));
    }
    match std::str::from_utf8(&payload.data) {
        Ok(text) => Ok(Json::String(text.to_owned())),
        Err(_) => Err(Failure::fatal("BAD_INPUT", "the input is neither JSON nor text")),
    }
}

/// The worker's part of the attempt: how long the handler ran, and where.
fn span(held: &Held) -> Span {
    let agent = held.invocation.spec.as_ref().map_or("", |spec| &*spec.agent);
    let span = trace::within(&held.traceparent, || {
        tracing::info_span!(
            "agent.run",
            otel.name = format!("agent.run {agent}"),
            otel.status_code = field::Empty,
            "error.type" = field::Empty,
            trace_id = trace::id(&held.traceparent),
            invocation_id = held.invocation.id,
            attempt = held.invocation.attempt,
        )
    });
    traceparent::continue_from(&span, &held.traceparent);
    span
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the handler panicked".into())
}
