use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::TryFutureExt as _;
use tokio::sync::Semaphore;
use tower::{Layer, Service};

use super::{Answer, Inner, Words, is_open};
use crate::{Error, HttpRequest, web::Paths};

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
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        if is_open(request.uri().path()) {
            return Box::pin(self.inner.call(request).map_ok(Answer::from));
        }
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            let wait = RETRY_AFTER.mul_f64(1.0 + rand::random::<f64>());
            let error = Error::exhausted("this process serves as many calls as it may", wait);
            return Box::pin(std::future::ready(Ok(Words::of(&request, &self.web).refuse(error).into())));
        };
        // A stream keeps its slot until it ends.
        Box::pin(self.inner.call(request).map_ok(|response| Answer::from(response).in_slot(slot)))
    }
}
