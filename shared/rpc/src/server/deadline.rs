use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower::{Layer, Service};

use super::{Answer, Inner, Words};
use crate::{Error, HttpRequest, deadline, web::Paths};

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

impl<S: Inner<Answer>> Service<HttpRequest> for Deadline<S> {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let words = Words::of(&request, &self.web);
        let deadline = match deadline::parse(request.headers()) {
            Ok(span) => span.map(|span| Instant::now() + span),
            Err(error) => return Box::pin(std::future::ready(Ok(words.refuse(error).into()))),
        };
        let answer = deadline::scope(deadline, self.inner.call(request));
        let Some(at) = deadline else { return Box::pin(answer) };
        Box::pin(async move {
            match tokio::time::timeout_at(at, answer).await {
                Ok(answer) => answer.map(|answer| answer.until(at)),
                Err(_) => Ok(words.refuse(Error::deadline()).into()),
            }
        })
    }
}
