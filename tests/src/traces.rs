//! What a collector got of one invocation, and of thousands under kills.

pub mod census;
pub mod judge;
pub mod phoenix;
pub mod storm;
pub mod toll;

use std::collections::BTreeSet;
use std::fmt;

use holdfast_testkit::ReceivedSpan;

/// The trace and the span of the caller, who sends no span itself.
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The caller's span: what it calls is below it.
pub const CALLER: &str = "00f067aa0ba902b7";

/// Who has a part in every invocation.
const SERVICES: [&str; 6] = ["gateway", "queue", "agent", "llm-proxy", "tool-proxy", "state"];
/// What only an invocation does.
const ITS_OWN: [&str; 6] = ["enqueue ", "queue.wait ", "invoke_agent ", "agent.run ", "execute_tool ", "chat "];

/// One invocation's trace, in a mesh that ran no other invocation.
#[derive(Debug)]
pub struct Trace {
    invocation: String,
    spans: Vec<ReceivedSpan>,
    elsewhere: Vec<ReceivedSpan>,
}

impl Trace {
    /// The trace that the caller began, out of all that came.
    #[must_use]
    pub fn of(invocation: &str, spans: Vec<ReceivedSpan>) -> Self {
        let (spans, elsewhere) = spans.into_iter().partition(|span| span.trace_id == TRACE);
        Self { invocation: invocation.to_owned(), spans, elsewhere }
    }

    /// Its spans of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&ReceivedSpan> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// By which error each of its spans of a name came to nothing; empty where it did not. In the order of their beginnings.
    #[must_use]
    pub fn errors(&self, name: &str) -> Vec<&str> {
        let mut spans = self.named(name);
        spans.sort_by_key(|span| span.began);
        spans.into_iter().map(|span| span.attribute("error.type").unwrap_or_default()).collect()
    }

    /// # Panics
    /// Where a part of the invocation stands in another trace.
    pub fn has_nothing_elsewhere(&self) {
        let strayed: Vec<_> = self.strays().map(|span| (&span.service, &span.name)).collect();
        assert!(strayed.is_empty(), "in other traces: {strayed:?}; {self}");
    }

    fn strays(&self) -> impl Iterator<Item = &ReceivedSpan> {
        let marked = |span: &&ReceivedSpan| span.attribute("invocation_id") == Some(&*self.invocation);
        self.elsewhere.iter().filter(move |span| marked(span) || ITS_OWN.iter().any(|name| span.name.starts_with(name)))
    }

    /// The spans that nothing is above but the caller.
    #[must_use]
    pub fn below_the_caller(&self) -> Vec<&ReceivedSpan> {
        self.spans.iter().filter(|span| span.parent_id == CALLER).collect()
    }

    /// Parents that are not there. A root is an orphan too: the caller's span is above everything.
    #[must_use]
    pub fn lost_parents(&self) -> BTreeSet<&str> {
        let mut known: BTreeSet<_> = self.spans.iter().map(|span| span.span_id.as_str()).collect();
        known.insert(CALLER);
        self.spans.iter().map(|span| span.parent_id.as_str()).filter(|parent| !known.contains(parent)).collect()
    }

    /// # Panics
    /// Where a service has no span in it.
    pub fn covers_all_six_services(&self) {
        let services: BTreeSet<_> = self.spans.iter().map(|span| span.service.as_str()).collect();
        for service in SERVICES {
            assert!(services.contains(&*format!("holdfast-{service}")), "{service} has no span: {self}");
        }
    }

    /// # Panics
    /// Where a part of the invocation stands in another trace.
    pub fn holds_every_span_of_its_invocation(&self) {
        self.has_nothing_elsewhere();
        let marked = |span: &&ReceivedSpan| span.attribute("invocation_id") == Some(&*self.invocation);
        // The gateway names it last of all; all others say whose work each of their spans is.
        for service in &SERVICES[1..] {
            let its = self.spans.iter().filter(|span| span.service.ends_with(service)).filter(marked);
            assert!(its.count() > 0, "{service} does not say whose work it does: {self}");
        }
    }
}

/// For a failing test's reader: service, name, span and parent, and what the other traces are of.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the trace of {}:", self.invocation)?;
        for ReceivedSpan { service, name, span_id, parent_id, .. } in &self.spans {
            writeln!(f, "  {service}: {name} {span_id} < {parent_id}")?;
        }
        for ReceivedSpan { service, name, trace_id, .. } in &self.elsewhere {
            writeln!(f, "  in {trace_id}: {service}: {name}")?;
        }
        Ok(())
    }
}
