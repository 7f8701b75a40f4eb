use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tonic::{Status, body::Body};

/// A request's body that can be had back as long as nobody has read of it: an attempt that never got so far has sent
/// nothing, and the next address gets the whole.
#[derive(Clone)]
pub(super) struct Lender(Arc<Mutex<Option<Body>>>);

impl Lender {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// The body for one attempt.
    pub(super) fn lend(&self) -> Body {
        let hint = self.0.lock().as_ref().map(http_body::Body::size_hint).unwrap_or_default();
        Body::new(Lent { lender: self.clone(), taken: None, hint })
    }

    /// Whether nothing of it was read.
    pub(super) fn is_whole(&self) -> bool {
        self.0.lock().is_some()
    }
}

struct Lent {
    lender: Lender,
    taken: Option<Body>,
    hint: SizeHint,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.taken.is_none() {
            let taken = self.lender.0.lock().take();
            self.taken = taken;
        }
        match &mut self.taken {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.taken {
            Some(body) => body.is_end_stream(),
            None => self.lender.0.lock().as_ref().is_none_or(http_body::Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.taken.as_ref().map_or_else(|| self.hint, http_body::Body::size_hint)
    }
}
