//! A request's body that knows whether a connection has asked for it. Before that no byte of the request was written, the
//! head included: what fails or is given up until then has certainly not been sent. And what was called unsent stays so:
//! the body is not handed out afterwards, however close the race was.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

const WAITING: u8 = 0;
const ASKED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// A whole body. An empty one would not be asked for, and is not made.
#[derive(Debug)]
pub(super) struct Carried {
    bytes: Option<Bytes>,
    state: Arc<AtomicU8>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Trail {
    /// Nobody can say: it has no body.
    Unknown,
    Watched(Arc<AtomicU8>),
}

impl Carried {
    pub(super) fn new(bytes: Vec<u8>) -> (Self, Trail) {
        let state = Arc::new(AtomicU8::new(WAITING));
        (Self { bytes: Some(bytes.into()), state: Arc::clone(&state) }, Trail::Watched(state))
    }
}

impl Trail {
    /// Gives the request up, and says whether it may have left. If not, it never will.
    pub(super) fn may_have_left(self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Watched(state) => moved(&state, GIVEN_UP) == ASKED,
        }
    }
}

/// Where the state stands after trying to move it on: only one of the two can.
fn moved(state: &AtomicU8, to: u8) -> u8 {
    state.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire).map_or_else(|stands| stands, |_| to)
}

impl Body for Carried {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if moved(&self.state, ASKED) == GIVEN_UP {
            return Poll::Ready(Some(Err(io::Error::other("the request was given up"))));
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Waker;
    use std::thread;

    use super::*;

    /// Whether a connection that asks gets the body.
    fn is_handed_out(mut body: Carried) -> bool {
        let polled = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Some(Ok(_))))
    }

    #[test]
    fn what_was_asked_for_may_have_left() {
        let (body, trail) = Carried::new(b"{}".into());
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(is_handed_out(body));
        assert!(trail.may_have_left());
        assert!(Trail::Unknown.may_have_left());
    }

    #[test]
    fn what_was_given_up_before_never_leaves() {
        let (body, trail) = Carried::new(b"{}".into());
        assert!(!trail.may_have_left());
        assert!(!is_handed_out(body));
    }

    #[test]
    fn however_close_the_race_is_both_say_the_same() {
        const ROUNDS: usize = 20_000;
        let (bodies, trails): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| Carried::new(b"{}".into())).unzip();
        let start = AtomicUsize::new(0);
        // Both begin a round when the other has come to it too.
        let together = |round: usize| {
            start.fetch_add(1, Ordering::AcqRel);
            while start.load(Ordering::Acquire) < 2 * (round + 1) {
                thread::yield_now();
            }
        };
        let (handed_out, left) = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let rounds = bodies.into_iter().enumerate();
                rounds.map(|(round, body)| (together(round), is_handed_out(body)).1).collect::<Vec<_>>()
            });
            let rounds = trails.into_iter().enumerate();
            let left = rounds.map(|(round, trail)| (together(round), trail.may_have_left()).1).collect::<Vec<_>>();
            (asking.join().expect("no panic"), left)
        });
        assert!(handed_out == left, "somebody was told what was not so");
    }
}
