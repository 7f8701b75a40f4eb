use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::Either;
use tower::{Layer, Service};

use super::{Answer, Inner, Words, is_open};
use crate::{HttpRequest, caller::Authenticate, web::Paths};

/// Finds out who is calling, for the handlers ([`crate::Caller::of`]), and refuses strangers.
#[derive(Clone)]
pub(crate) struct IdentityLayer {
    auth: Arc<dyn Authenticate>,
    web: Paths,
}

impl IdentityLayer {
    pub(crate) fn new(auth: Arc<dyn Authenticate>, web: Paths) -> Self {
        Self { auth, web }
    }
}

impl<S> Layer<S> for IdentityLayer {
    type Service = Identity<S>;

    fn layer(&self, inner: S) -> Identity<S> {
        Identity { inner, auth: self.auth.clone(), web: self.web.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Identity<S> {
    inner: S,
    auth: Arc<dyn Authenticate>,
    web: Paths,
}

impl<S> fmt::Debug for Identity<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl<S: Inner<Answer>> Service<HttpRequest> for Identity<S> {
    type Response = Answer;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Answer, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        if !is_open(request.uri().path()) {
            match self.auth.authenticate(request.uri().path(), request.headers()) {
                Ok(caller) => {
                    if let Some(lease) = &caller.lease {
                        // The call's span: every line of its log says for which invocation.
                        tracing::Span::current().record("invocation_id", &*lease.invocation_id);
                    }
                    request.extensions_mut().insert(caller)
                }
                Err(error) => return Either::Right(ready(Ok(Words::of(&request, &self.web).refuse(error).into()))),
            };
        }
        Either::Left(self.inner.call(request))
    }
}
