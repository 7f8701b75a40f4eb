//! A message that is too large to be read at all, refused by its field like one that could be.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use holdfast_rpc::Error;
use tonic::{Code, Status};
use tower::Service;

/// Turns tonic's OUT_OF_RANGE, its word for a message over the decoding limit, into INVALID_ARGUMENT.
#[derive(Clone)]
pub(crate) struct Oversize<S> {
    inner: S,
    payload_bytes_max: usize,
}

impl<S> Oversize<S> {
    pub(crate) fn new(inner: S, payload_bytes_max: usize) -> Self {
        Self { inner, payload_bytes_max }
    }
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for Oversize<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, R, B> Service<http::Request<R>> for Oversize<S>
where
    S: Service<http::Request<R>, Response = http::Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Default + Send + 'static,
{
    type Response = http::Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<B>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<R>) -> Self::Future {
        let answer = self.inner.call(request);
        let bytes_max = self.payload_bytes_max;
        Box::pin(async move {
            let response = answer.await?;
            let too_large =
                Status::from_header_map(response.headers()).is_some_and(|status| status.code() == Code::OutOfRange);
            if !too_large {
                return Ok(response);
            }
            let why = format!(
                "is too large: at most {bytes_max} bytes are taken (gateway.payload_max); send a reference instead"
            );
            Ok(Status::from(Error::invalid("spec.payload.data", why)).into_http())
        })
    }
}
