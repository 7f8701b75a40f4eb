use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body goes out in frames of this size: the connection takes the next one when it has room for it.
const FRAME: usize = 64 << 10;

/// Whoever sent a request, and wants to know how far it has come.
pub(super) trait Sender: Send {
    /// Whether it may leave, asked before its first byte does: the connection is made then.
    fn may_leave(&self) -> bool;

    /// Its last frame is taken: it is on its way.
    fn sent(&self);
}

/// The request may not leave any more. Nothing of it has.
#[derive(Debug, thiserror::Error)]
#[error("the call's place is gone")]
pub(super) struct Withheld;

/// A request's body that asks its sender before the first frame is taken, and tells it of the last.
pub(super) struct WatchedBody {
    rest: Bytes,
    sender: Option<Box<dyn Sender>>,
    leaves: bool,
}

impl WatchedBody {
    /// The bytes are some at least.
    pub(super) fn new(bytes: Bytes, sender: Box<dyn Sender>) -> Self {
        Self { rest: bytes, sender: Some(sender), leaves: false }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        // The head is written together with the first frame, and not before.
        self.leaves = self.leaves || self.sender.as_ref().is_none_or(|sender| sender.may_leave());
        if !self.leaves {
            return Poll::Ready(Some(Err(Withheld)));
        }
        let size = self.rest.len().min(FRAME);
        let frame = self.rest.split_to(size);
        if self.rest.is_empty()
            && let Some(sender) = self.sender.take()
        {
            sender.sent();
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
pub(super) mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    };

    use super::*;

    /// A sender that lets its request leave, or does not.
    #[derive(Debug, Default)]
    pub(in super::super) struct Door {
        pub(in super::super) closed: AtomicBool,
        pub(in super::super) sent: AtomicU32,
    }

    impl Sender for Arc<Door> {
        fn may_leave(&self) -> bool {
            !self.closed.load(Ordering::Relaxed)
        }

        fn sent(&self) {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_large_request_is_sent_only_when_its_last_frame_is() {
        let door = Arc::new(Door::default());
        let sent = || door.sent.load(Ordering::Relaxed);
        let bytes = Bytes::from(vec![7; 2 * FRAME + 1]);
        let mut body = WatchedBody::new(bytes.clone(), Box::new(Arc::clone(&door)));
        let (mut written, mut context) = (Vec::new(), Context::from_waker(std::task::Waker::noop()));
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            assert_eq!(sent(), u32::from(body.is_end_stream()), "after {} bytes", written.len());
            written.extend_from_slice(&frame.into_data().expect("data"));
            assert_eq!(body.size_hint().exact(), Some((bytes.len() - written.len()) as u64));
            // What has begun to leave goes on.
            door.closed.store(true, Ordering::Relaxed);
        }
        assert_eq!((&written[..], sent()), (&bytes[..], 1));
    }
}
