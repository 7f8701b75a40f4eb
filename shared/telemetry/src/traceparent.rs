//! W3C trace context between processes: in the headers of each call, and in records that outlive a call.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header's name.
pub const HEADER: &str = "traceparent";

/// Where the flags stand.
const FLAGS_AT: usize = 53;

/// Reads a `traceparent`; `None` where it is not one.
/// Source: <https://www.w3.org/TR/trace-context/#traceparent-header>
pub fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        flags,
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

/// Writes a `traceparent`.
pub fn format(context: &SpanContext) -> String {
    write(context.trace_id(), context.span_id(), context.trace_flags())
}

/// The same `traceparent` for a trace that is not recorded any further.
pub(crate) fn unflagged(mut traceparent: String) -> String {
    if traceparent.len() >= FLAGS_AT + 2 && !traceparent.ends_with("-00") {
        traceparent.replace_range(FLAGS_AT..FLAGS_AT + 2, "00");
    }
    traceparent
}

/// Every call has one: by hand, for the formatting machinery takes several times as long.
fn write(trace: TraceId, span: SpanId, flags: TraceFlags) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(55);
    text.push_str("00");
    for part in [&trace.to_bytes()[..], &span.to_bytes()[..], &[flags.to_u8()]] {
        text.push('-');
        for byte in part {
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
    }
    text
}

/// The `traceparent` of a span that is exported, else `None`.
pub fn of(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| format(context))
}

/// Makes a span continue the trace that a `traceparent` names. Anything else is ignored: a stranger's header does no harm.
pub fn continue_from(span: &Span, traceparent: &str) {
    if let Some(parent) = parse(traceparent) {
        // It fails only where spans are not exported, and there is nothing to continue then.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// A `traceparent` with random ids and not sampled: gives logs a trace id where no collector is named.
pub fn mint() -> String {
    mint_for(RandomIdGenerator::default().new_trace_id())
}

pub(crate) fn mint_for(trace: TraceId) -> String {
    write(trace, RandomIdGenerator::default().new_span_id(), TraceFlags::NOT_SAMPLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(format(&parse(text).expect("the example of the specification")), text);
        assert!(parse(&mint()).is_some());
    }

    #[test]
    fn a_trace_that_is_not_recorded_any_further_stays_the_same_trace() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";
        assert_eq!(unflagged(format!("{text}1")), format!("{text}0"));
        assert_eq!(unflagged(format!("{text}0")), format!("{text}0"));
        assert_eq!(unflagged("no trace".into()), "no trace");
    }

    #[test]
    fn what_is_not_a_traceparent_is_ignored() {
        for text in [
            "",
            "00",
            "00-0-0-0",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-zzzzzzzzzzzzzzzz-01",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
