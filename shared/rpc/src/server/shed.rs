use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::Semaphore;
use tonic::{Code, body::Body};
use tower::{Layer, Service};

use super::{Inner, Words, is_open};
use crate::{Error, HttpRequest, HttpResponse, watched::Watched, web::Paths};

/// How long a caller without a slot is told to wait, at the least; up to twice that, so that callers do not return together.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Bounds the calls in flight. One over the bound is refused at once: a line here would hide the load and spend deadlines.
#[derive(Debug, Clone)]
pub(crate) struct ShedLayer {
    slots: Arc<Semaphore>,
    web: Paths,
}

impl ShedLayer {
    pub(crate) fn new(in_flight_max: usize, web: Paths) -> Self {
        Self { slots: Arc::new(Semaphore::new(in_flight_max)), web }
    }
}

impl<S> Layer<S> for ShedLayer {
    type Service = Shed<S>;

    fn layer(&self, inner: S) -> Shed<S> {
        Shed { inner, slots: self.slots.clone(), web: self.web.clone() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Shed<S> {
    inner: S,
    slots: Arc<Semaphore>,
    web: Paths,
}

impl<S: Inner> Service<HttpRequest> for Shed<S> {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        if is_open(request.uri().path()) {
            return Box::pin(self.inner.call(request));
        }
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            let wait = RETRY_AFTER.mul_f64(1.0 + rand::random::<f64>());
            let error = Error::exhausted("this process serves as many calls as it may", wait);
            return Box::pin(std::future::ready(Ok(Words::of(&request, &self.web).refuse(error))));
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // A stream keeps its slot until it ends.
            let held = move |_: Code| drop(slot);
            Ok(response.map(|body| Body::new(Watched::new(body, None, Some(Box::new(held))))))
        })
    }
}
