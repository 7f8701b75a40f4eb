//! Bodies on their way through.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use holdfast_rpc::Error;
use holdfast_rpc::service::Stop;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// When to come back after a break.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What a client sends on a stream that it would never end: a drain ends it, so that nothing holds the connection.
pub(super) struct Upward {
    inner: Body,
    stopped: BoxFuture<'static, ()>,
    over: bool,
}

impl Upward {
    pub(super) fn new(inner: Body, stop: Stop) -> Self {
        Self { inner, stopped: stop.cancelled_owned().boxed(), over: false }
    }
}

impl http_body::Body for Upward {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending if self.stopped.poll_unpin(cx).is_ready() => {
                self.over = true;
                self.inner = Body::empty();
                Poll::Ready(None)
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }
}

/// An answer that always ends with trailers: where the connection behind breaks, or this process drains, the client is told so
/// in gRPC's words instead of by a reset.
pub(super) struct Passed {
    inner: Body,
    peer: &'static str,
    stopped: Option<BoxFuture<'static, ()>>,
    over: bool,
}

impl Passed {
    pub(super) fn new(inner: Body, peer: &'static str, stop: Option<Stop>) -> Self {
        Self { inner, peer, stopped: stop.map(|stop| stop.cancelled_owned().boxed()), over: false }
    }

    /// The last frame; what was in the body behind ends with it.
    fn end(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.over = true;
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        match Status::from(error).add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(status) => Poll::Ready(Some(Err(status))),
        }
    }
}

impl http_body::Body for Passed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Err(_))) => {
                let broke = format!("the connection to the {} broke", self.peer);
                self.end(Error::unavailable(broke, RETRY_AFTER).maybe_happened())
            }
            Poll::Pending if self.stopped.as_mut().is_some_and(|stopped| stopped.poll_unpin(cx).is_ready()) => {
                self.end(Error::unavailable("the gateway is draining; open the next stream elsewhere", RETRY_AFTER))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
