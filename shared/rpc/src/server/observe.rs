use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
    time::Instant,
};

use futures::{FutureExt as _, TryFutureExt as _};
use tonic::Code;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field, info_span};

use super::{Answer, Inner, Responding, Words, count::Calls, is_grpc, is_open};
use crate::{
    Error, HttpRequest, HttpResponse, trace,
    watched::code,
    web::{self, Paths},
};

/// Streams that live as long as a connection and carry many calls: each message has its own trace, the stream has none.
const CARRIERS: [&str; 2] = ["/holdfast.queue.v1.QueueService/EnqueueStream", "/holdfast.queue.v1.QueueService/Work"];

/// Opens a span that continues the caller's trace, counts what callers see, and keeps a panic to its own call.
#[derive(Debug, Clone)]
pub(crate) struct ObserveLayer {
    calls: Calls,
    web: Paths,
}

impl ObserveLayer {
    /// One that counts what is served over plain HTTP under these names.
    pub(crate) fn new(web: Paths) -> Self {
        Self { calls: Calls::default(), web }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, calls: self.calls.clone(), web: self.web.clone() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Observe<S> {
    inner: S,
    calls: Calls,
    web: Paths,
}

impl<S: Inner<Answer>> Service<HttpRequest> for Observe<S> {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Responding;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let path = request.uri().path().to_owned();
        if is_open(&path) {
            return Box::pin(self.inner.call(request).map_ok(|answer| answer.watched(|_| {})));
        }
        let grpc = is_grpc(request.headers());
        let words = Words::of(&request, &self.web);
        let started = Instant::now();
        let incoming = trace::incoming(request.headers());
        let (span, standing) = trace::begin(|| span(&path, grpc), incoming);
        let answer = {
            // The service's own `call` may open spans already: they belong under this one.
            let _entered = span.enter();
            catch_unwind(AssertUnwindSafe(|| self.inner.call(request)))
        };
        let (answered, calls) = (span.clone(), self.calls.clone());
        // Paths that nobody serves over plain HTTP share one name, so that strangers cannot make new ones.
        let name = if grpc { path } else { self.web.of(&path).unwrap_or("http").to_owned() };
        let call = async move {
            let answer = match answer {
                Ok(answer) => AssertUnwindSafe(answer).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            let answer = answer.unwrap_or_else(|panic| Ok(words.refuse(panicked(&*panic)).into()))?;
            let done = code(answer.response.headers());
            let status = web::code(answer.response.status());
            let end = move |code: Code| {
                // Over plain HTTP the status says how it ended, unless the body breaks off.
                let code = if grpc || code != Code::Ok { code } else { status };
                calls.ended(&name, code, started.elapsed());
                answered.record("rpc.grpc.status_code", code as i32);
                if is_failure(code) {
                    answered.record("error.type", format!("{code:?}"));
                    answered.record("otel.status_code", "ERROR");
                }
            };
            Ok(match done {
                Some(code) => {
                    end(code);
                    answer.response
                }
                None => answer.watched(end),
            })
        };
        Box::pin(standing.scope(call.instrument(span)))
    }
}

fn span(path: &str, grpc: bool) -> Span {
    if CARRIERS.contains(&path) {
        return Span::none();
    }
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    info_span!(
        "rpc",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "server",
        trace_id = field::Empty,
        // The identity layer knows it, where the call is made under a lease.
        invocation_id = field::Empty,
        rpc.system = if grpc { "grpc" } else { "http" },
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = field::Empty,
        error.type = field::Empty,
        otel.status_code = field::Empty,
    )
}

/// What is the server's fault, as the conventions have it: a refusal for the caller's sake is none.
/// Source: <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>
fn is_failure(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("a handler panicked: {}", text.unwrap_or("without a text")))
}

#[cfg(test)]
mod tests {
    use std::future::Ready;

    use http::Request;
    use tonic::body::Body;
    use tower::{ServiceBuilder, ServiceExt as _, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_panic_before_there_is_anything_to_wait_for_stays_within_its_call() {
        let broken = service_fn(|_: HttpRequest| -> Ready<Result<Answer, Infallible>> { panic!("canary") });
        let service = ServiceBuilder::new().layer(ObserveLayer::new(Paths::default())).service(broken);
        let request = Request::builder().uri("/a.B/C").header("content-type", "application/grpc");
        let answer = service.oneshot(request.body(Body::empty()).expect("valid parts")).await.expect("it answers");
        assert_eq!(code(answer.headers()), Some(Code::Internal));
    }
}
