//! What the request over HTTP knows and the handler of its message needs. They run in tasks of their own, so it is carried.

use axum::http::Extensions;
use axum::http::request::Parts;
use holdfast_rpc::service::Stop;
use holdfast_rpc::{Caller, Error, deadline, lease, trace};
use holdfast_telemetry::traceparent;
use rmcp::RoleServer;
use rmcp::service::RequestContext;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

/// Who calls, until when, and under which trace.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    pub(super) caller: Caller,
    /// The lease token as it came in.
    pub(super) lease: Option<String>,
    /// Cancelled where an older client says so; a newer one goes away.
    pub(super) cancelled: Stop,
    deadline: Option<Instant>,
    traceparent: Option<String>,
    span: Span,
}

impl Passage {
    /// Of a request that is being served in this task.
    ///
    /// # Errors
    /// UNAUTHENTICATED where nobody said who calls.
    pub(super) fn new(parts: &Parts) -> Result<Self, Error> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let token = parts.headers.get(lease::HEADER).and_then(|token| token.to_str().ok());
        Ok(Self {
            caller: caller.ok_or_else(|| Error::unauthenticated("nobody said who is calling"))?,
            lease: token.map(str::to_owned),
            cancelled: Stop::new(),
            deadline: deadline::current(),
            traceparent: trace::outgoing(),
            span: Span::current(),
        })
    }

    /// The passage by which a message came.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Result<&Self, Error> {
        let parts: Option<&Parts> = context.extensions.get();
        let passage = parts.map(|parts| &parts.extensions).and_then(Extensions::get);
        passage.ok_or_else(|| Error::internal("a message came without its request"))
    }

    /// The span of a message, below the request's or the trace that the message names.
    pub(super) fn begin(&self, named: Option<&str>, make: impl FnOnce(&Span) -> Span) -> Span {
        let Some(above) = named.or(self.traceparent.as_deref()) else { return make(&self.span) };
        let span = trace::within(above, || make(&self.span));
        if let Some(named) = named {
            traceparent::continue_from(&span, named);
        }
        span
    }

    /// Runs work as part of the request: within its deadline, under its trace or the one that the message names.
    pub(super) async fn carry<F: Future>(&self, span: Span, named: Option<&str>, work: F) -> F::Output {
        let traceparent = named.map(str::to_owned).or_else(|| self.traceparent.clone());
        let work = deadline::scope(self.deadline, work.instrument(span));
        match traceparent {
            Some(traceparent) => trace::scope(traceparent, work).await,
            None => work.await,
        }
    }
}
