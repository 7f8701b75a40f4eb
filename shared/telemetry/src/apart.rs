//! Spans of work that no task stands for: begun in one place and ended in another, or told of once it is over. Where nothing
//! is recorded there are none of them, and asking costs little: a hot path may.

use std::{
    borrow::Cow,
    fmt::Display,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanData, SpanEvents, SpanLinks};

use crate::{head, spans::Outlet, traceparent};

static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    tracer: SdkTracer,
    outlet: Outlet,
    scope: InstrumentationScope,
}

/// From here on spans are exported.
pub(crate) fn install(provider: &SdkTracerProvider, outlet: Outlet) {
    let scope = InstrumentationScope::builder("holdfast").build();
    // A second provider in one process is refused before this.
    let _ = EXPORT.set(Export { tracer: provider.tracer("holdfast"), outlet, scope });
}

/// What a span is of: a verb, and of which agent, tool or such.
pub type Name<'a> = (&'static str, &'a str);

/// A name and a value.
pub type Attribute<'a> = (&'static str, Value<'a>);

/// What an attribute says.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// As text.
    Text(&'a dyn Display),
    /// A count, or a time in some unit.
    Number(u64),
}

impl Value<'_> {
    fn of(self, name: &'static str) -> KeyValue {
        match self {
            Value::Text(text) => KeyValue::new(name, text.to_string()),
            Value::Number(number) => KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX)),
        }
    }
}

fn told(attributes: &[Attribute<'_>]) -> Vec<KeyValue> {
    attributes.iter().map(|(name, value)| value.of(name)).collect()
}

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
        self.0.set_attribute(value.of(name));
    }

    /// Says that it came to nothing, and by which error.
    pub fn fail(&mut self, error: &str) {
        self.set(("error.type", Value::Text(&error)));
        self.0.set_status(Status::error(""));
    }
}

/// Something that is over, by its times in microseconds since 1970.
pub struct Past<'a> {
    /// Of what.
    pub name: Name<'a>,
    /// What is known of it.
    pub attributes: &'a [Attribute<'a>],
    /// By which error it came to nothing.
    pub error: Option<&'a str>,
    /// When it began.
    pub began: i64,
    /// When it ended.
    pub ended: i64,
}

/// Whether any trace is recorded by this process.
pub fn is_wanted() -> bool {
    EXPORT.get().is_some()
}

/// Whether what stands below is recorded by this process.
pub fn is_recorded(traceparent: &str) -> bool {
    EXPORT.get().is_some() && recorded(traceparent).is_some()
}

/// Begins a span that continues a trace; without one it is the root of a new trace, for which the sampler decides.
pub fn open(traceparent: &str, (verb, of): Name<'_>) -> Option<OpenSpan> {
    let tracer = &EXPORT.get()?.tracer;
    let parent = match traceparent::parse(traceparent) {
        Some(parent) if !head::records_below(&parent) => return None,
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    };
    let span = tracer.build_with_context(SpanBuilder::from_name(format!("{verb} {of}")), &parent);
    span.span_context().is_sampled().then_some(OpenSpan(span))
}

/// Tells of something that is over.
pub fn past(traceparent: &str, past: &Past<'_>) {
    let Some(export) = EXPORT.get() else { return };
    let Some(parent) = recorded(traceparent) else { return };
    let id = export.outlet.new_span_id();
    export.outlet.take(past.span(export, &parent, id, SpanKind::Internal));
}

/// The same under an id that was given away before it was over: see [`below`].
pub fn past_as(traceparent: &str, id: [u8; 8], past: &Past<'_>) {
    let Some(export) = EXPORT.get() else { return };
    let Some(parent) = recorded(traceparent) else { return };
    export.outlet.take(past.span(export, &parent, SpanId::from_bytes(id), SpanKind::Client));
}

/// The `traceparent` of a span that stands below another under a known id, and is told by [`past_as`] once it is over.
/// `None` where it will not be told: what stood below it would be orphaned.
pub fn below(traceparent: &str, id: [u8; 8]) -> Option<String> {
    EXPORT.get()?;
    let parent = recorded(traceparent)?;
    Some(traceparent::format(&within(&parent, SpanId::from_bytes(id))))
}

fn recorded(traceparent: &str) -> Option<SpanContext> {
    traceparent::parse(traceparent).filter(head::records_below)
}

fn within(parent: &SpanContext, id: SpanId) -> SpanContext {
    let flags = parent.trace_flags().with_sampled(true);
    SpanContext::new(parent.trace_id(), id, flags, false, TraceState::default())
}

impl Past<'_> {
    fn span(&self, export: &Export, parent: &SpanContext, id: SpanId, span_kind: SpanKind) -> SpanData {
        let mut attributes = told(self.attributes);
        attributes.extend(self.error.map(|error| KeyValue::new("error.type", error.to_owned())));
        SpanData {
            span_context: within(parent, id),
            parent_span_id: parent.span_id(),
            parent_span_is_remote: true,
            span_kind,
            name: Cow::Owned(format!("{} {}", self.name.0, self.name.1)),
            start_time: moment(self.began),
            // Clocks are set back now and then: a span does not end before it began.
            end_time: moment(self.ended.max(self.began)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if self.error.is_some() { Status::error("") } else { Status::Unset },
            instrumentation_scope: export.scope.clone(),
        }
    }
}

fn moment(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros.max(0).unsigned_abs())
}
