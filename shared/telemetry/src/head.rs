//! Sampling at the head: whether a trace is recorded is decided once, where it begins, and everybody below obeys. What is
//! not recorded costs next to nothing: its spans are never made.

use std::{cell::Cell, sync::OnceLock};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceId},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::layer::{Context as LayerContext, Filter};

use crate::{standing, traceparent};

/// The standard variable. Where it is set, it goes before the configuration.
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";

static DECIDES: OnceLock<Box<dyn ShouldSample>> = OnceLock::new();

thread_local! {
    /// The id of the trace that is about to begin here: it was decided on already.
    static DECIDED: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Who decides: a caller's word where there is one, and else a part of all traces.
pub(crate) fn sampler(ratio: f64) -> Sampler {
    let named = std::env::var(SAMPLER).ok().filter(|name| !name.is_empty());
    let argument = std::env::var("OTEL_TRACES_SAMPLER_ARG").ok().and_then(|text| text.parse().ok());
    match named.as_deref() {
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatioBased(argument.unwrap_or(1.0)),
        Some("parentbased_always_off") => below_callers(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => below_callers(Sampler::TraceIdRatioBased(argument.unwrap_or(1.0))),
        // As the specification has it for names that are not known, too.
        Some(_) => below_callers(Sampler::AlwaysOn),
        None => below_callers(Sampler::TraceIdRatioBased(ratio)),
    }
}

fn below_callers(roots: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(roots))
}

/// From here on this one decides.
pub(crate) fn install(sampler: &Sampler) {
    // A second provider in one process is refused before this.
    let _ = DECIDES.set(Box::new(sampler.clone()));
}

/// Whether this process has a say in what is recorded.
pub(crate) fn decides() -> bool {
    DECIDES.get().is_some()
}

/// Whether what stands below a span elsewhere is recorded here.
pub(crate) fn records_below(parent: &SpanContext) -> bool {
    let parent_in = || Context::new().with_remote_span_context(parent.clone());
    DECIDES.get().is_some_and(|sampler| decide(&**sampler, Some(&parent_in()), parent.trace_id()))
}

/// Decides on a trace that begins here. One that is not recorded has a `traceparent` all the same, which says so, and
/// gives logs a trace id. One that is recorded begins with the next span made on this thread.
pub(crate) fn passed_over() -> Option<String> {
    let id = RandomIdGenerator::default().new_trace_id();
    if DECIDES.get().is_some_and(|sampler| decide(&**sampler, None, id)) {
        DECIDED.set(Some(id));
        return None;
    }
    Some(traceparent::mint_for(id))
}

fn decide(sampler: &dyn ShouldSample, parent: Option<&Context>, id: TraceId) -> bool {
    sampler.should_sample(parent, id, "", &SpanKind::Internal, &[], &[]).decision != SamplingDecision::Drop
}

/// Ids at random, but for the trace that was just decided on: the same sampler says the same of the same id.
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        DECIDED.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// The MCP library: its spans last as long as its sessions, and what it tells has all in it that is said there.
const NOT_OURS: &str = "rmcp";

/// Keeps the spans of what is not recorded from being made.
#[derive(Debug)]
pub(crate) struct Recorded;

/// Whether this is ever for traces.
fn is_for_traces(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= LevelFilter::INFO && metadata.target().split("::").next() != Some(NOT_OURS)
}

impl<S: Subscriber> Filter<S> for Recorded {
    fn enabled(&self, metadata: &Metadata<'_>, _: &LayerContext<'_, S>) -> bool {
        is_for_traces(metadata) && standing::is_recorded()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_for_traces(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Layer as _, layer::SubscriberExt as _};

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";

    fn says(sampler: &Sampler, flag: char) -> bool {
        let parent = traceparent::parse(&format!("{PARENT}{flag}")).expect("a traceparent");
        let below = Context::new().with_remote_span_context(parent.clone());
        decide(sampler, Some(&below), parent.trace_id())
    }

    #[test]
    fn a_callers_word_goes_before_the_ratio() {
        for ratio in [0.0, 1.0] {
            let sampler = sampler(ratio);
            assert!(says(&sampler, '1') && !says(&sampler, '0'), "at {ratio}");
        }
    }

    #[test]
    fn of_traces_that_begin_here_the_ratio_is_recorded() {
        let (ids, sampler) = (RandomIdGenerator::default(), sampler(0.25));
        let recorded = (0..10_000).filter(|_| decide(&sampler, None, ids.new_trace_id())).count();
        assert!((2_000..3_000).contains(&recorded), "{recorded} of 10,000");
    }

    #[test]
    fn spans_of_the_mcp_library_are_never_made_and_ours_are() {
        let traces = tracing_subscriber::fmt::layer().with_filter(Recorded);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traces), || {
            assert!(tracing::info_span!(target: "rmcp::service", "serve_inner").is_disabled());
            assert!(!tracing::info_span!("ours").is_disabled());
        });
    }

    #[test]
    fn a_trace_that_was_decided_on_begins_with_the_next_span_and_no_other() {
        let (ids, decided) = (Ids::default(), TraceId::from_bytes([7; 16]));
        DECIDED.set(Some(decided));
        assert_eq!(ids.new_trace_id(), decided);
        assert_ne!(ids.new_trace_id(), decided);
    }
}
