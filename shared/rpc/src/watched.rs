use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status, body::Body};

use crate::Error;

/// What to do once a body has ended, with the call's code.
type OnEnd = Box<dyn FnOnce(Code) + Send>;

/// An answer's body that ends at the call's deadline, and tells when and how it ended. A call is over when its body is,
/// not when its headers are.
pub(crate) struct Watched {
    inner: Body,
    deadline: Option<Pin<Box<Sleep>>>,
    on_end: Option<OnEnd>,
    over: bool,
}

impl Watched {
    pub(crate) fn new(inner: Body, deadline: Option<Instant>, on_end: Option<OnEnd>) -> Self {
        Self { inner, deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))), on_end, over: false }
    }

    fn end(&mut self, code: Code) {
        if let Some(on_end) = self.on_end.take() {
            on_end(code);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let code = code(trailers).unwrap_or(Code::Ok);
                    self.end(code);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(status))) => {
                self.end(status.code());
                return Poll::Ready(Some(Err(status)));
            }
            Poll::Ready(None) => {
                self.end(Code::Ok);
                return Poll::Ready(None);
            }
            Poll::Pending => {}
        }
        let passed = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if !passed {
            return Poll::Pending;
        }
        self.over = true;
        self.end(Code::DeadlineExceeded);
        let mut trailers = HeaderMap::new();
        match Status::from(Error::deadline()).add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(status) => Poll::Ready(Some(Err(status))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.inner.is_end_stream() && self.on_end.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    /// A caller that goes away drops the body: the call is over all the same.
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The gRPC code in headers or trailers.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}
