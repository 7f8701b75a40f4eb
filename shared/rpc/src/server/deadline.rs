use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{Inner, Words};
use crate::{Error, HttpRequest, HttpResponse, deadline, watched::Watched, web::Paths};

/// Ends a call at its deadline, its answer's stream included, and lets the calls that it makes inherit what is left.
#[derive(Debug, Clone)]
pub(crate) struct DeadlineLayer {
    web: Paths,
}

impl DeadlineLayer {
    pub(crate) fn new(web: Paths) -> Self {
        Self { web }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, web: self.web.clone() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Deadline<S> {
    inner: S,
    web: Paths,
}

impl<S: Inner> Service<HttpRequest> for Deadline<S> {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let words = Words::of(&request, &self.web);
        let deadline = match deadline::parse(request.headers()) {
            Ok(span) => span.map(|span| Instant::now() + span),
            Err(error) => return Box::pin(std::future::ready(Ok(words.refuse(error)))),
        };
        let answer = deadline::scope(deadline, self.inner.call(request));
        let Some(at) = deadline else { return Box::pin(answer) };
        Box::pin(async move {
            match tokio::time::timeout_at(at, answer).await {
                Ok(response) => response.map(|answer| answer.map(|body| Body::new(Watched::new(body, Some(at), None)))),
                Err(_) => Ok(words.refuse(Error::deadline())),
            }
        })
    }
}
