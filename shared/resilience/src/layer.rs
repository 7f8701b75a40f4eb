//! The breaker as a tower layer: while it is open the inner service is not touched, not even asked whether it is ready.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::util::Oneshot;
use tower::{Layer, Service, ServiceExt};

use crate::breaker::{Breaker, Refused};

/// What an answer says about the dependency's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It works: also where it refused this call for a reason of the caller's.
    Healthy,
    /// It does not.
    Failing,
    /// The answer says nothing about it.
    Silent,
}

/// Judges answers, and makes the answer that is given instead while the breaker is open.
pub trait Classify<Response, Error>: Clone {
    /// What this answer says about the dependency.
    fn judge(&self, answer: &Result<Response, Error>) -> Verdict;
    /// The answer to a call that was not made.
    fn refuse(&self, refused: Refused) -> Result<Response, Error>;
}

/// Puts a breaker in front of a service. Keep the layer that ends a call at its deadline *inside* this one: a call whose
/// future is dropped counts as cancelled, so a hanging dependency would never be seen to fail.
#[derive(Debug, Clone)]
pub struct BreakerLayer<C> {
    breaker: Breaker,
    classify: C,
}

impl<C> BreakerLayer<C> {
    /// Everything that this layer wraps shares the breaker.
    pub fn new(breaker: Breaker, classify: C) -> Self {
        Self { breaker, classify }
    }
}

impl<S, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = Guarded<S, C>;

    fn layer(&self, inner: S) -> Guarded<S, C> {
        Guarded { inner, breaker: self.breaker.clone(), classify: self.classify.clone() }
    }
}

/// A service behind a breaker.
#[derive(Debug, Clone)]
pub struct Guarded<S, C> {
    inner: S,
    breaker: Breaker,
    classify: C,
}

type Answer<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<S, C, Request> Service<Request> for Guarded<S, C>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    C: Classify<S::Response, S::Error> + Send + 'static,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Response, S::Error>;

    /// Always ready: the inner service is asked only once the breaker has let the call through.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let permit = match self.breaker.acquire() {
            Ok(permit) => permit,
            Err(refused) => {
                let answer = self.classify.refuse(refused);
                return Box::pin(std::future::ready(answer));
            }
        };
        let call: Oneshot<S, Request> = self.inner.clone().oneshot(request);
        let classify = self.classify.clone();
        Box::pin(async move {
            let answer = call.await;
            match classify.judge(&answer) {
                Verdict::Healthy => permit.success(),
                Verdict::Failing => permit.failure(),
                Verdict::Silent => drop(permit),
            }
            answer
        })
    }
}
