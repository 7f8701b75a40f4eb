//! Traces travel: the server's stack continues the caller's, the client's stack passes it on.

use holdfast_telemetry::traceparent;
use http::HeaderMap;
use tracing::Span;

tokio::task_local! {
    static TRACEPARENT: String;
}

/// Runs a future under a trace that its calls pass on. For work that is spawned out of a call.
pub async fn scope<F: Future>(traceparent: String, future: F) -> F::Output {
    TRACEPARENT.scope(traceparent, future).await
}

/// The `traceparent` for a call made here: the current span's where spans are exported, else the one that came in.
pub fn outgoing() -> Option<String> {
    traceparent::of(&Span::current()).or_else(|| TRACEPARENT.try_with(Clone::clone).ok())
}

/// The caller's `traceparent`, where there is one.
pub(crate) fn incoming(headers: &HeaderMap) -> Option<String> {
    headers
        .get(traceparent::HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|text| traceparent::parse(text).is_some())
        .map(str::to_owned)
}

/// Makes a call's span continue its caller's trace, or else be the root of one, for which the sampler decides. Gives the
/// `traceparent` under which the call's work stands; without an exporter one is minted, so that logs always have a trace id.
pub(crate) fn begin(span: &Span, incoming: Option<String>) -> String {
    if let Some(caller) = &incoming {
        traceparent::continue_from(span, caller);
    }
    let traceparent = traceparent::of(span).or(incoming).unwrap_or_else(traceparent::mint);
    span.record("trace_id", id(&traceparent));
    traceparent
}

/// The trace id inside of a `traceparent`, for logs.
pub fn id(traceparent: &str) -> &str {
    traceparent.get(3..35).unwrap_or_default()
}
