use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body goes out in frames of this size: the connection takes the next one when it has room for it.
const FRAME: usize = 64 << 10;

/// A request's body that tells when its last frame is taken: the connection is made then, and the request on its way.
#[derive(Debug)]
pub(super) struct WatchedBody<S> {
    rest: Bytes,
    sent: Option<S>,
}

impl<S: FnOnce() + Unpin> WatchedBody<S> {
    pub(super) fn new(bytes: Bytes, sent: S) -> Self {
        Self { rest: bytes, sent: Some(sent) }
    }
}

impl<S: FnOnce() + Unpin> Body for WatchedBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.rest.len().min(FRAME);
        let frame = self.rest.split_to(size);
        if self.rest.is_empty()
            && let Some(sent) = self.sent.take()
        {
            sent();
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_large_request_is_sent_only_when_its_last_frame_is() {
        let sent = Cell::new(0);
        let bytes = Bytes::from(vec![7; 2 * FRAME + 1]);
        let mut body = WatchedBody::new(bytes.clone(), || sent.set(sent.get() + 1));
        let (mut written, mut context) = (Vec::new(), Context::from_waker(std::task::Waker::noop()));
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            assert_eq!(sent.get(), u32::from(body.is_end_stream()), "after {} bytes", written.len());
            written.extend_from_slice(&frame.into_data().expect("data"));
            assert_eq!(body.size_hint().exact(), Some((bytes.len() - written.len()) as u64));
        }
        assert_eq!((&written[..], sent.get()), (&bytes[..], 1));
    }
}
