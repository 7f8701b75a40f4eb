use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use holdfast_rpc::Error;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::body::Body;

use super::{Outflow, Slow, bytes};
use crate::admission::Place;
use crate::allowance::Share;
use crate::metrics;

/// When a dropped reader may come back: at once, nearly; it is told to read faster.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Frames that one reader may leave unread: each takes more than its bytes.
const FRAMES_MAX: usize = 1_024;

type Item = Result<Frame<Bytes>, Status>;

/// One answer between the service behind, whose frames are put in as they come, and its reader.
struct Pipe {
    outflow: Outflow,
    share: Share,
    kept: Mutex<Kept>,
    /// The reader took something, or left.
    taken: Notify,
}

#[derive(Default)]
struct Kept {
    frames: VecDeque<Frame<Bytes>>,
    unread: usize,
    /// Since when nothing of what is unread was taken; meaningless while nothing is.
    untaken_since: Option<Instant>,
    /// What stands behind the frames; `Some(None)` is an end without a word.
    end: Option<Option<Item>>,
    reader: Option<Waker>,
    left: bool,
}

/// The reader's side.
pub(super) struct Reading {
    pipe: Arc<Pipe>,
    over: bool,
    _place: Place,
}

pub(super) fn open(outflow: Outflow, body: Body, slow: Slow, place: Place) -> Reading {
    let share = outflow.share(&place);
    let pipe = Arc::new(Pipe { outflow, share, kept: Mutex::default(), taken: Notify::new() });
    // Ends once all is read, or given up, or its reader has left.
    tokio::spawn(carry(pipe.clone(), body, slow));
    Reading { pipe, over: false, _place: place }
}

async fn carry(pipe: Arc<Pipe>, body: Body, slow: Slow) {
    let kept = tokio::select! {
        biased;
        kept = pass(&pipe, body, slow) => kept,
        () = pipe.stood_still() => false,
    };
    if !kept {
        pipe.give_up(slow);
    }
}

/// Until the reader has it all, or has left; false where no more can be kept for it.
async fn pass(pipe: &Pipe, body: Body, slow: Slow) -> bool {
    if !fill(pipe, body, slow).await {
        return false;
    }
    // What is left unread counts after the service behind has said all, too.
    while !pipe.is_read() {
        pipe.taken.notified().await;
    }
    true
}

/// Until the body is over, or the reader has left.
async fn fill(pipe: &Pipe, mut body: Body, slow: Slow) -> bool {
    loop {
        let next = tokio::select! {
            next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)) => next,
            () = pipe.taken.notified() => {
                if pipe.kept.lock().left {
                    return true;
                }
                continue;
            }
        };
        let frame = match next {
            Some(Ok(frame)) => frame,
            last => {
                pipe.end(last);
                return true;
            }
        };
        while !pipe.has_room(bytes(&frame)) {
            match slow {
                Slow::Dropped => return pipe.kept.lock().left,
                // One that takes nothing at all stands still, and is seen to.
                Slow::WaitedFor => pipe.taken.notified().await,
            }
            if pipe.kept.lock().left {
                return true;
            }
        }
        if !pipe.put(frame) {
            return false;
        }
    }
}

impl Pipe {
    /// Whether so much more may be left unread. One frame may always be, however large: nothing else could pass.
    fn has_room(&self, more: usize) -> bool {
        let kept = self.kept.lock();
        kept.unread == 0 || (kept.unread + more <= self.outflow.unread_max && kept.frames.len() < FRAMES_MAX)
    }

    /// False where its tenant's answers, or all of them, hold too much.
    fn put(&self, frame: Frame<Bytes>) -> bool {
        let more = bytes(&frame);
        let mut kept = self.kept.lock();
        if kept.left {
            return true;
        }
        if self.share.take(more).is_err() {
            return false;
        }
        if kept.unread == 0 {
            kept.untaken_since = Some(Instant::now());
        }
        kept.unread += more;
        kept.frames.push_back(frame);
        wake(&mut kept);
        true
    }

    fn is_read(&self) -> bool {
        let kept = self.kept.lock();
        kept.left || kept.unread == 0
    }

    /// Ends when something was left unread, and nothing of it was taken, for as long as a reader may stand still.
    async fn stood_still(&self) {
        loop {
            let since = {
                let kept = self.kept.lock();
                kept.untaken_since.filter(|_| kept.unread > 0)
            };
            let limit = since.unwrap_or_else(Instant::now) + self.outflow.slow_max;
            if limit <= Instant::now() {
                return;
            }
            sleep_until(limit).await;
        }
    }

    fn end(&self, last: Option<Item>) {
        let mut kept = self.kept.lock();
        kept.end = Some(last);
        wake(&mut kept);
    }

    /// The reader is dropped, and what it left unread: the refusal is all that it still gets.
    fn give_up(&self, slow: Slow) {
        metrics::slow_reader();
        let told = Error::exhausted(
            "more was left unread than may be, or for longer (gateway.unread_max, gateway.tenant_unread_bytes_max, \
             gateway.unread_bytes_max, gateway.slow_max); read faster, from where you are",
            RETRY_AFTER,
        );
        let told = if slow == Slow::WaitedFor { told.maybe_happened() } else { told };
        let mut trailers = HeaderMap::new();
        let last = Status::from(told).add_header(&mut trailers).map(|()| Frame::trailers(trailers));
        let mut kept = self.kept.lock();
        self.forget(&mut kept);
        kept.end = Some(Some(last));
        wake(&mut kept);
    }

    fn forget(&self, kept: &mut Kept) {
        self.share.give_back(std::mem::take(&mut kept.unread));
        kept.frames.clear();
    }
}

fn wake(kept: &mut Kept) {
    if let Some(reader) = kept.reader.take() {
        reader.wake();
    }
}

impl http_body::Body for Reading {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let pipe = self.pipe.clone();
        let mut kept = pipe.kept.lock();
        if let Some(frame) = kept.frames.pop_front() {
            let taken = bytes(&frame);
            kept.unread -= taken;
            kept.untaken_since = Some(Instant::now());
            pipe.share.give_back(taken);
            drop(kept);
            pipe.taken.notify_one();
            return Poll::Ready(Some(Ok(frame)));
        }
        match kept.end.take() {
            Some(last) => {
                self.over = true;
                Poll::Ready(last)
            }
            None => {
                kept.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut kept = self.pipe.kept.lock();
        kept.left = true;
        self.pipe.forget(&mut kept);
        drop(kept);
        self.pipe.taken.notify_one();
    }
}

#[cfg(test)]
mod tests;
