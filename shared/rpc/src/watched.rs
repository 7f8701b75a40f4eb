use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
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
    pub(crate) fn new(inner: Body, deadline: Option<Instant>, mut on_end: Option<OnEnd>) -> Self {
        // What is over in its headers, as refusals are, must say so: an empty frame after them ends the call, and clients
        // made of gRPC's C core throw the refusal away.
        if inner.is_end_stream()
            && let Some(on_end) = on_end.take()
        {
            on_end(Code::Ok);
        }
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
                } else if self.inner.is_end_stream() {
                    // A body of known length over HTTP/1.1 is not asked for more.
                    self.end(Code::Ok);
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

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[test]
    fn an_answer_that_is_over_in_its_headers_has_no_frame() {
        let ended = Arc::new(AtomicU32::new(0));
        let on_end: OnEnd = Box::new({
            let ended = ended.clone();
            move |_| {
                ended.fetch_add(1, Ordering::SeqCst);
            }
        });
        let watched = Watched::new(Body::empty(), None, Some(on_end));
        assert!(watched.is_end_stream());
        drop(watched);
        assert_eq!(ended.load(Ordering::SeqCst), 1, "it is told once that the call is over");
    }
}
