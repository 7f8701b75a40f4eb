//! Spans of work that no task stands for: begun in one place and ended in another, or told of once it is over. A process
//! that exports nothing has none of them, and asking costs one atomic load: a hot path may.

use std::{
    fmt::Display,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanBuilder, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use crate::traceparent;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From here on spans are exported.
pub(crate) fn install(provider: &SdkTracerProvider) {
    // A second provider in one process is refused before this.
    let _ = TRACER.set(provider.tracer("holdfast"));
}

/// What a span is of: a verb, and of which agent, tool or such.
pub type Name<'a> = (&'static str, &'a str);

/// A name and a value.
pub type Attribute<'a> = (&'static str, &'a dyn Display);

/// A span that ends when it is dropped.
#[derive(Debug)]
pub struct OpenSpan(Span);

impl OpenSpan {
    /// What continues from it.
    pub fn traceparent(&self) -> String {
        traceparent::format(self.0.span_context())
    }

    /// Adds an attribute.
    pub fn set(&mut self, (name, value): Attribute<'_>) {
        self.0.set_attribute(KeyValue::new(name, value.to_string()));
    }

    /// Says that it came to nothing, and by which error.
    pub fn fail(&mut self, error: &str) {
        self.set(("error.type", &error));
        self.0.set_status(Status::error(""));
    }
}

/// Begins a span that continues a trace; without one it is the root of a new trace.
pub fn open(traceparent: &str, name: Name<'_>, attributes: &[Attribute<'_>]) -> Option<OpenSpan> {
    begin(traceparent, name, attributes, SystemTime::now()).map(OpenSpan)
}

/// Tells of something that is over, by its times in microseconds since 1970.
pub fn past(traceparent: &str, name: Name<'_>, attributes: &[Attribute<'_>], began: i64, ended: i64) {
    if let Some(mut span) = begin(traceparent, name, attributes, moment(began)) {
        // Clocks are set back now and then: a span does not end before it began.
        span.end_with_timestamp(moment(ended.max(began)));
    }
}

fn begin(traceparent: &str, (verb, of): Name<'_>, attributes: &[Attribute<'_>], began: SystemTime) -> Option<Span> {
    let tracer = TRACER.get()?;
    let parent = match traceparent::parse(traceparent) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    };
    let attributes = attributes.iter().map(|(name, value)| KeyValue::new(*name, value.to_string()));
    let span = SpanBuilder::from_name(format!("{verb} {of}")).with_start_time(began).with_attributes(attributes);
    Some(tracer.build_with_context(span, &parent))
}

fn moment(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros.max(0).unsigned_abs())
}
