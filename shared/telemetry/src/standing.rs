//! Under which trace the work of a task stands: what its calls pass on, and whether its spans are made at all.

use tracing::Span;

use crate::{head, traceparent};

tokio::task_local! {
    static STANDING: Standing;
}

/// Where work stands.
#[derive(Debug, Clone)]
pub struct Standing {
    traceparent: String,
    /// Whether spans below it are recorded here.
    recorded: bool,
    /// Calls stand below this and below no span of this process: it may never tell of its spans.
    firm: bool,
}

impl Standing {
    /// Under a trace.
    pub fn under(traceparent: String) -> Self {
        Self::at(traceparent, false)
    }

    /// Under a trace that begins here, where the sampler is against recording it. One that is recorded begins with the next
    /// span made on this thread.
    pub fn unrecorded() -> Option<Self> {
        Some(Self { traceparent: head::passed_over()?, recorded: false, firm: false })
    }

    fn at(traceparent: String, firm: bool) -> Self {
        let recorded = traceparent::parse(&traceparent).is_some_and(|parent| head::records_below(&parent));
        // Who decides against recording decides for everybody below.
        let traceparent = if recorded || !head::decides() { traceparent } else { traceparent::unflagged(traceparent) };
        Self { traceparent, recorded, firm }
    }

    /// What calls made here pass on.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// Makes a call's span here, and says where the call's own work stands: below that span, where it is recorded.
    pub fn begin(self, make: impl FnOnce() -> Span) -> (Span, Self) {
        let span = STANDING.sync_scope(self.clone(), make);
        if !self.recorded {
            return (span, self);
        }
        traceparent::continue_from(&span, &self.traceparent);
        let own = traceparent::of(&span).map(Self::under);
        (span, own.unwrap_or(self))
    }

    /// Runs a future here.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        STANDING.scope(self, future).await
    }
}

/// Runs a future under a trace that its calls pass on.
pub async fn scope<F: Future>(traceparent: String, future: F) -> F::Output {
    Standing::under(traceparent).scope(future).await
}

/// The same for work of which others keep the record: its calls stand below that record, and not below spans of this
/// process, which are lost with it where it is killed.
pub async fn firm_scope<F: Future>(traceparent: String, future: F) -> F::Output {
    STANDING.scope(Standing::at(traceparent, true), future).await
}

/// Makes something, such as a span, under a trace.
pub fn within<T>(traceparent: &str, make: impl FnOnce() -> T) -> T {
    STANDING.sync_scope(Standing::at(traceparent.to_owned(), false), make)
}

/// The `traceparent` for a call made here: of the current span where spans are recorded, else what this work stands under.
pub fn outgoing() -> Option<String> {
    let standing = STANDING.try_with(|standing| {
        let own = if standing.firm || !standing.recorded { None } else { traceparent::of(&Span::current()) };
        own.unwrap_or_else(|| standing.traceparent.clone())
    });
    standing.ok().or_else(|| traceparent::of(&Span::current()))
}

/// Whether spans made here are recorded. What stands under no trace begins one, which the sampler decides about.
pub(crate) fn is_recorded() -> bool {
    STANDING.try_with(|standing| standing.recorded).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn calls_pass_on_what_their_work_stands_under() {
        assert_eq!(scope(TRACE.into(), async { outgoing() }).await.as_deref(), Some(TRACE));
        assert_eq!(firm_scope(TRACE.into(), async { outgoing() }).await.as_deref(), Some(TRACE));
        assert_eq!(outgoing(), None);
    }

    #[test]
    fn what_is_not_exported_is_not_recorded() {
        assert!(!within(TRACE, is_recorded), "nobody decides here");
        assert!(!within("no trace", is_recorded));
    }
}
