//! A request's body that knows whether a connection has asked for it. Before that no byte of the request was written, the
//! head included: what fails or is given up until then has certainly not been sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A whole body. An empty one would not be asked for, and is not made.
#[derive(Debug)]
pub(super) struct Carried {
    bytes: Option<Bytes>,
    asked: Arc<AtomicBool>,
}

/// Whether a request may have left.
#[derive(Debug)]
pub(super) enum Trail {
    /// Nobody can say: it has no body.
    Unknown,
    Watched(Arc<AtomicBool>),
}

impl Carried {
    pub(super) fn new(bytes: Vec<u8>) -> (Self, Trail) {
        let asked = Arc::new(AtomicBool::new(false));
        (Self { bytes: Some(bytes.into()), asked: Arc::clone(&asked) }, Trail::Watched(asked))
    }
}

impl Trail {
    pub(super) fn may_have_left(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Watched(asked) => asked.load(Ordering::Acquire),
        }
    }
}

impl Body for Carried {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.asked.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
