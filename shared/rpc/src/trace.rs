//! Traces travel: the server's stack continues the caller's, the client's stack passes it on.

use holdfast_telemetry::{head, traceparent};
use http::HeaderMap;
use tracing::Span;

pub use holdfast_telemetry::standing::{firm_scope, outgoing, scope, within};

/// The caller's `traceparent`, where there is one.
pub(crate) fn incoming(headers: &HeaderMap) -> Option<String> {
    headers
        .get(traceparent::HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|text| traceparent::parse(text).is_some())
        .map(str::to_owned)
}

/// Makes a call's span within its caller's trace, or else as the root of one, for which the sampler decides. Gives also the
/// `traceparent` under which the call's work stands: where nothing is recorded it is still one, so that logs always have a
/// trace id.
pub(crate) fn begin(make: impl FnOnce() -> Span, incoming: Option<String>) -> (Span, String) {
    let (span, traceparent) = match incoming.or_else(head::passed_over) {
        Some(above) => {
            let span = within(&above, make);
            traceparent::continue_from(&span, &above);
            let own = traceparent::of(&span);
            (span, own.unwrap_or(above))
        }
        None => {
            let span = make();
            let own = traceparent::of(&span);
            (span, own.unwrap_or_else(traceparent::mint))
        }
    };
    span.record("trace_id", id(&traceparent));
    (span, traceparent)
}

/// The trace id inside of a `traceparent`, for logs.
pub fn id(traceparent: &str) -> &str {
    traceparent.get(3..35).unwrap_or_default()
}
