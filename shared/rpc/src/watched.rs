use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status, body::Body};

use crate::{Error, server::Reader};

/// A connection takes a chunk whole once its peer has room for one byte of it: larger ones are handed over in parts.
const PART_BYTES: usize = 16 << 10;

/// What to do once a body has ended, with the call's code.
type OnEnd = Box<dyn FnOnce(Code) + Send>;

/// An answer's body that ends at the call's deadline, and tells when and how it ended. A call is over when its body is,
/// not when its headers are. And a large one is not over before its last byte but one has found room at its peer: until then
/// the call's task is there, which can be given up.
pub(crate) struct Watched {
    inner: Body,
    /// What is left of a chunk that is handed over in parts.
    rest: Bytes,
    reader: Option<Arc<Reader>>,
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
        let reader = Reader::current();
        if let Some(reader) = &reader {
            reader.offered(deadline);
        }
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self { inner, rest: Bytes::new(), reader, deadline, on_end, over: false }
    }

    /// The next part of what is left. The last byte is a copy: while it waits it holds nothing of what was before it.
    fn part(&mut self) -> Frame<Bytes> {
        let part = match self.rest.len() {
            ..=1 => Bytes::copy_from_slice(&std::mem::take(&mut self.rest)),
            left => self.rest.split_to(PART_BYTES.min(left - 1)),
        };
        self.give(Frame::data(part))
    }

    fn give(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Some(trailers) = frame.trailers_ref() {
            let code = code(trailers).unwrap_or(Code::Ok);
            self.end(code);
        } else if self.rest.is_empty() && self.inner.is_end_stream() {
            // A body of known length over HTTP/1.1 is not asked for more.
            self.end(Code::Ok);
        }
        if let Some(reader) = &self.reader {
            reader.given();
        }
        frame
    }

    /// All that there was is taken: that there is no more is not the reader's doing.
    fn wait(&self) {
        if let Some(reader) = &self.reader {
            reader.took_all();
        }
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
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.part())));
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let frame = match frame.into_data() {
                    Ok(data) if data.len() > PART_BYTES => {
                        self.rest = data;
                        self.part()
                    }
                    Ok(data) => self.give(Frame::data(data)),
                    Err(frame) => self.give(frame),
                };
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
            self.wait();
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
        self.over || (self.rest.is_empty() && self.inner.is_end_stream() && self.on_end.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

impl Drop for Watched {
    /// A caller that goes away drops the body: the call is over all the same.
    fn drop(&mut self) {
        self.end(Code::Cancelled);
        self.wait();
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

    use futures::executor::block_on;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    #[test]
    fn what_is_large_goes_in_parts_and_its_last_byte_apart() {
        let whole = Bytes::from((0..100_000_u32).map(|byte| byte as u8).collect::<Vec<_>>());
        let ended = Arc::new(AtomicU32::new(0));
        let on_end: OnEnd = Box::new({
            let ended = ended.clone();
            move |_| {
                ended.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut watched = Watched::new(Body::new(Full::new(whole.clone())), None, Some(on_end));
        let mut parts: Vec<Bytes> = Vec::new();
        while !watched.is_end_stream() {
            assert_eq!(ended.load(Ordering::SeqCst), 0, "it is not over before its last byte");
            parts.push(block_on(watched.frame()).expect("more").expect("no error").into_data().expect("data"));
        }
        assert!(parts.iter().all(|part| (1..=PART_BYTES).contains(&part.len())));
        assert_eq!(parts.last().map(Bytes::len), Some(1));
        assert_eq!((parts.concat(), ended.load(Ordering::SeqCst)), (whole.to_vec(), 1));
    }

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
