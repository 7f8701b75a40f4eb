//! What stands before the callers' service: who gets in, how much of it is read, and what becomes of the answer.

mod bodies;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use holdfast_rpc::{Caller, Error, HttpRequest, HttpResponse};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::admission::{Admission, Kind, Place};
use crate::allowance::{Account, Share};
use crate::outflow::{Outflow, Slow};

use bodies::{Incoming, Outgoing};

const RUN: &str = "/holdfast.gateway.v1.InvocationService/RunInvocation";
const WATCH: &str = "/holdfast.gateway.v1.InvocationService/WatchInvocation";

/// Stands beside a request: what its tenant's requests hold that are on their way to the queue.
#[derive(Clone)]
pub(crate) struct Sending(pub(crate) Arc<Account>);

/// The callers' service behind its bounds.
#[derive(Clone)]
pub(crate) struct Front<S> {
    inner: S,
    admission: Admission,
    /// Bytes of requests that are being read.
    reading: Arc<Account>,
    outflow: Outflow,
    payload_bytes_max: usize,
}

impl<S> Front<S> {
    pub(crate) fn new(
        inner: S,
        admission: Admission,
        reading: Arc<Account>,
        outflow: Outflow,
        payload_bytes_max: usize,
    ) -> Self {
        Self { inner, admission, reading, outflow, payload_bytes_max }
    }

    fn admit(&self, request: &HttpRequest) -> Result<Place, Error> {
        let caller = request.extensions().get::<Caller>();
        let tenant = caller.ok_or_else(|| Error::unauthenticated("nobody said who is calling"))?.tenant()?;
        let waits = matches!(request.uri().path(), RUN | WATCH);
        self.admission.admit(tenant, if waits { Kind::Wait } else { Kind::Call })
    }
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for Front<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<HttpRequest> for Front<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        let place = match self.admit(&request) {
            Ok(place) => place,
            Err(refused) => return Box::pin(std::future::ready(Ok(Status::from(refused).into_http()))),
        };
        let watches = request.uri().path() == WATCH;
        request.extensions_mut().insert(Sending(place.sending().clone()));
        let reading = Share { all: self.reading.clone(), own: place.reading().clone() };
        let answer = self.inner.call(request.map(|body| Body::new(Incoming::new(body, reading))));
        let (outflow, payload_bytes_max) = (self.outflow.clone(), self.payload_bytes_max);
        Box::pin(async move {
            let response = answer.await?;
            if watches {
                return Ok(response.map(|body| outflow.keep(body, Slow::Dropped, place)));
            }
            if is_oversize(&response) {
                return Ok(oversize(payload_bytes_max));
            }
            Ok(response.map(|body| Body::new(Outgoing::new(body, outflow.share(&place), place))))
        })
    }
}

/// OUT_OF_RANGE is tonic's word for a message over the decoding limit.
fn is_oversize(response: &HttpResponse) -> bool {
    Status::from_header_map(response.headers()).is_some_and(|status| status.code() == Code::OutOfRange)
}

/// A message that is too large to be read at all, refused by its field like one that could be.
fn oversize(payload_bytes_max: usize) -> HttpResponse {
    let why = format!(
        "is too large: at most {payload_bytes_max} bytes are taken (gateway.payload_max); send a reference instead"
    );
    Status::from(Error::invalid("spec.payload.data", why)).into_http()
}
