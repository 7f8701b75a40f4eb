use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::gate::Arrival;

/// A body goes out in frames of this size: the connection takes the next one when it has room for it.
const FRAME: usize = 64 << 10;

/// A request's body that tells when its last frame is taken: the connection is made then, and the request on its way.
#[derive(Debug)]
pub(super) struct WatchedBody {
    rest: Bytes,
    arrival: Arrival,
}

impl WatchedBody {
    pub(super) fn new(bytes: Bytes, arrival: Arrival) -> Self {
        Self { rest: bytes, arrival }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.rest.len().min(FRAME);
        let frame = self.rest.split_to(size);
        if self.rest.is_empty() {
            self.arrival.sent();
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
