//! What is on its way to the reader of a stream: bounded by what the reader may leave unread.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use holdfast_rpc::Error;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// However much comes at once, no more is left unread than this many times what may be.
const OVERFULL: usize = 16;

/// Filled by commits, emptied by one stream.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    inner: Mutex<Inner<T>>,
    bytes_max: usize,
    ended: Notify,
    /// Its one writer's requests may be read again.
    eased: Notify,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    /// Since when it is full, as far as anybody looked.
    full_since: Option<Instant>,
    reader: Option<Waker>,
    /// Something is inside of which the reader is told by and by.
    unhurried: bool,
    /// Answers that are still being made: a stream that finishes waits for them.
    owed: usize,
    end: End,
}

#[derive(Debug)]
enum End {
    Open,
    /// After everything owed has been read.
    Finishing,
    /// After everything inside has been read.
    Broken(Option<Error>),
    /// The reader has gone, or has read the end.
    Over,
}

impl<T> Outbox<T> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let inner = Inner {
            items: VecDeque::new(),
            bytes: 0,
            full_since: None,
            reader: None,
            unhurried: false,
            owed: 0,
            end: End::Open,
        };
        Self { inner: Mutex::new(inner), bytes_max, ended: Notify::new(), eased: Notify::new() }
    }

    /// Puts something in. What a reader that has gone would get is dropped.
    pub(crate) fn push(&self, item: T, bytes: usize) {
        let mut inner = self.inner.lock();
        if matches!(inner.end, End::Over | End::Broken(_)) {
            return;
        }
        inner.items.push_back((item, bytes));
        inner.bytes += bytes;
        wake(inner.reader.take());
    }

    /// Puts something in that may wait for what comes next: the reader is not told. Says whether nobody has promised yet
    /// to [`Outbox::remind`] it.
    pub(crate) fn push_unhurried(&self, item: T, bytes: usize) -> bool {
        let mut inner = self.inner.lock();
        if matches!(inner.end, End::Over | End::Broken(_)) {
            return false;
        }
        inner.items.push_back((item, bytes));
        inner.bytes += bytes;
        !std::mem::replace(&mut inner.unhurried, true)
    }

    /// Tells the reader what has waited for long enough.
    pub(crate) fn remind(&self) {
        let mut inner = self.inner.lock();
        inner.unhurried = false;
        if !inner.items.is_empty() {
            wake(inner.reader.take());
        }
    }

    /// Puts something in that must be read: it comes back when the stream takes nothing new.
    pub(crate) fn offer(&self, item: T, bytes: usize) -> Result<(), T> {
        if !matches!(self.inner.lock().end, End::Open) {
            return Err(item);
        }
        self.push(item, bytes);
        Ok(())
    }

    /// An answer will come.
    pub(crate) fn owe(&self) {
        self.inner.lock().owed += 1;
    }

    /// Puts an owed answer in.
    pub(crate) fn pay(&self, item: T, bytes: usize) {
        self.inner.lock().owed -= 1;
        self.push(item, bytes);
        self.eased.notify_one();
    }

    /// An owed answer is wanted no more.
    pub(crate) fn waive(&self) {
        let mut inner = self.inner.lock();
        inner.owed -= 1;
        wake(inner.reader.take());
        drop(inner);
        self.eased.notify_one();
    }

    /// Whether the reader has left more unread than it may.
    pub(crate) fn is_full(&self) -> bool {
        self.inner.lock().bytes >= self.bytes_max
    }

    /// Whether there is room for more, beside so much that is to come already.
    pub(crate) fn has_room_beside(&self, to_come: usize) -> bool {
        self.inner.lock().bytes.saturating_add(to_come) < self.bytes_max
    }

    /// Whether the reader has left more unread than it may for so long. One commit may fill it several times over before any
    /// reader could have read.
    pub(crate) fn is_stuck(&self, patience: Duration) -> bool {
        let mut inner = self.inner.lock();
        if inner.bytes < self.bytes_max {
            return false;
        }
        let full_for = inner.full_since.get_or_insert_with(Instant::now).elapsed();
        full_for >= patience || inner.bytes >= self.bytes_max.saturating_mul(OVERFULL)
    }

    /// Waits until the reader has left no more unread than it may, and fewer answers than that are owed. Whoever asks for
    /// answers waits here before each request, so that a client that does not read cannot ask for more and more.
    pub(crate) async fn eased(&self, owed_max: usize) {
        while self.is_full() || self.inner.lock().owed >= owed_max {
            self.eased.notified().await;
        }
    }

    /// Nothing more is begun; the stream ends when everything owed has been read.
    pub(crate) fn finish(&self) {
        self.close(End::Finishing);
    }

    /// The stream ends with an error after what is inside.
    pub(crate) fn fail(&self, error: Error) {
        self.close(End::Broken(Some(error)));
    }

    /// The reader has gone.
    pub(crate) fn abandon(&self) {
        let mut inner = self.inner.lock();
        inner.items.clear();
        inner.bytes = 0;
        inner.end = End::Over;
        self.ended.notify_one();
        // Whoever reads what it asks finds out by that, too.
        self.eased.notify_one();
    }

    /// Waits until the reader has gone, or has read the end.
    pub(crate) async fn over(&self) {
        self.ended.notified().await;
    }

    fn close(&self, end: End) {
        let mut inner = self.inner.lock();
        if matches!(inner.end, End::Open | End::Finishing) {
            inner.end = end;
            wake(inner.reader.take());
        }
    }

    /// The next item and those that follow it and go with it, up to a number of bytes. `None` at the end. Says also
    /// whether this made room in a full outbox.
    pub(crate) fn poll(
        &self,
        cx: &Context<'_>,
        bytes_max: usize,
        go_together: impl Fn(&T, &T) -> bool,
    ) -> Poll<Option<Result<Run<T>, Error>>> {
        let mut inner = self.inner.lock();
        let Some((first, mut bytes)) = inner.items.pop_front() else {
            let end = inner.poll_end(cx);
            if end.is_ready() {
                self.ended.notify_one();
            }
            return end;
        };
        let mut items = vec![first];
        while let Some((next, size)) = inner.items.front()
            && bytes + size <= bytes_max
            && go_together(&items[0], next)
        {
            bytes += size;
            items.extend(inner.items.pop_front().map(|(item, _)| item));
        }
        let was_full = inner.bytes >= self.bytes_max;
        inner.bytes -= bytes;
        let made_room = was_full && inner.bytes < self.bytes_max;
        if made_room {
            inner.full_since = None;
            self.eased.notify_one();
        }
        Poll::Ready(Some(Ok(Run { items, made_room })))
    }
}

/// Items that go into one message.
#[derive(Debug)]
pub(crate) struct Run<T> {
    pub(crate) items: Vec<T>,
    pub(crate) made_room: bool,
}

impl<T> Inner<T> {
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Run<T>, Error>>> {
        let over = match &mut self.end {
            End::Over => return Poll::Ready(None),
            End::Broken(error) => error.take(),
            End::Finishing if self.owed == 0 => None,
            End::Open | End::Finishing => {
                self.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        self.end = End::Over;
        Poll::Ready(over.map(Err))
    }
}

fn wake(reader: Option<Waker>) {
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests;
