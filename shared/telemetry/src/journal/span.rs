//! A span as it was written, as the exporter takes it.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, StringValue, Value,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, any_value},
    trace::v1::{Span, span::SpanKind as Kind, status::StatusCode},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Why a span ended that its process did not end.
const PROCESS_LOST: &str = "PROCESS_LOST";

/// One that was still open ended with its process, when that was last heard of.
pub(super) fn read(span: Span, cut_at: Option<u64>) -> Option<SpanData> {
    let trace = TraceId::from_bytes(span.trace_id.try_into().ok()?);
    let own = SpanId::from_bytes(span.span_id.try_into().ok()?);
    let parent = span.parent_span_id.try_into().map_or(SpanId::INVALID, SpanId::from_bytes);
    let mut attributes: Vec<_> = span
        .attributes
        .into_iter()
        .filter_map(|attribute| Some(KeyValue::new(attribute.key, value(attribute.value?)?)))
        .collect();
    let failed = span.status.is_some_and(|status| status.code == StatusCode::Error as i32);
    if cut_at.is_some() {
        attributes.push(KeyValue::new("error.type", PROCESS_LOST));
    }
    Some(SpanData {
        span_context: SpanContext::new(trace, own, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent,
        // The exporter tells it from this bit of the flags, as the contract has it.
        parent_span_is_remote: span.flags & 0x200 != 0,
        span_kind: kind(span.kind),
        name: span.name.into(),
        start_time: moment(span.start_time_unix_nano),
        end_time: moment(cut_at.unwrap_or(span.end_time_unix_nano)),
        attributes,
        dropped_attributes_count: span.dropped_attributes_count,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if failed || cut_at.is_some() { Status::error("") } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("holdfast").build(),
    })
}

fn value(value: AnyValue) -> Option<Value> {
    Some(match value.value? {
        any_value::Value::StringValue(text) => text.into(),
        any_value::Value::BoolValue(flag) => flag.into(),
        any_value::Value::IntValue(number) => number.into(),
        any_value::Value::DoubleValue(number) => number.into(),
        any_value::Value::ArrayValue(values) => {
            let texts = values.values.into_iter().filter_map(|value| match value.value? {
                any_value::Value::StringValue(text) => Some(StringValue::from(text)),
                _ => None,
            });
            Value::Array(Array::String(texts.collect()))
        }
        _ => return None,
    })
}

fn kind(number: i32) -> SpanKind {
    match Kind::try_from(number) {
        Ok(Kind::Server) => SpanKind::Server,
        Ok(Kind::Client) => SpanKind::Client,
        Ok(Kind::Producer) => SpanKind::Producer,
        Ok(Kind::Consumer) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn moment(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}
