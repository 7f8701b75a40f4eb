//! Traces travel: the server's stack continues the caller's, the client's stack passes it on.

use holdfast_telemetry::{standing::Standing, traceparent};
use http::HeaderMap;
use tracing::Span;

pub use holdfast_telemetry::standing::{firm_scope, outgoing, scope, within};

/// The caller's `traceparent`, where there is one: as much of it as was understood, so that what a caller writes behind it
/// or otherwise goes no further, and no peer refuses a call for it.
pub(crate) fn incoming(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(traceparent::HEADER)?.to_str().ok()?;
    Some(traceparent::format(&traceparent::parse(text)?))
}

/// Makes a call's span within its caller's trace, or else as the root of one, for which the sampler decides. Gives also where
/// the call's work stands: where nothing is recorded it has a `traceparent` still, so that logs always have a trace id.
pub(crate) fn begin(make: impl FnOnce() -> Span, incoming: Option<String>) -> (Span, Standing) {
    let (span, standing) = match incoming.map(Standing::under).or_else(Standing::unrecorded) {
        Some(above) => above.begin(make),
        None => {
            let span = make();
            let own = traceparent::of(&span).unwrap_or_else(traceparent::mint);
            (span, Standing::under(own))
        }
    };
    span.record("trace_id", id(standing.traceparent()));
    (span, standing)
}

/// The trace id inside of a `traceparent`, for logs.
pub fn id(traceparent: &str) -> &str {
    traceparent.get(3..35).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_understood_of_a_traceparent_goes_on() {
        let plain = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let long = format!("{plain}-{}", "x".repeat(8_000));
        let later = plain.replacen("00", "cc", 1) + "-what-the-future-will-be-like";
        for text in [plain, &long, &later, &plain.to_uppercase()] {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), text.parse().unwrap())]);
            assert_eq!(incoming(&headers).as_deref(), Some(plain), "{text}");
        }
    }
}
