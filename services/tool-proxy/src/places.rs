//! The places at a tool: so many requests under way at once, a bounded line for the rest, and a bounded wait in it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// The places at one tool.
#[derive(Debug)]
pub(crate) struct Places {
    free: Semaphore,
    wait: Duration,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// One of them, free again when it is dropped.
pub(crate) type Place<'a> = SemaphorePermit<'a>;

impl Places {
    pub(crate) fn new(concurrency: usize, wait: Duration, waiting_max: usize) -> Self {
        Self { free: Semaphore::new(concurrency), wait, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// The longest wait.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Takes a place, waiting in line for it. `None` where the line is full or the wait too long.
    pub(crate) async fn take(&self) -> Option<Place<'_>> {
        if let Ok(place) = self.free.try_acquire() {
            return Some(place);
        }
        let _line = Line::join(self)?;
        tokio::time::timeout(self.wait, self.free.acquire()).await.ok()?.ok()
    }
}

/// A stand in the line, given up also by those who go away.
struct Line<'a>(&'a AtomicUsize);

impl<'a> Line<'a> {
    fn join(places: &'a Places) -> Option<Self> {
        let line = Self(&places.waiting);
        let before = places.waiting.fetch_add(1, Ordering::AcqRel);
        (before < places.waiting_max).then_some(line)
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_wait_for_a_place_is_bounded_in_time() {
        let places = Places::new(1, Duration::from_millis(30), 10);
        let held = places.take().await.expect("the first");
        let start = tokio::time::Instant::now();
        assert!(places.take().await.is_none());
        assert!(start.elapsed() >= Duration::from_millis(30));
        drop(held);
        assert!(places.take().await.is_some());
    }

    #[tokio::test]
    async fn the_line_is_bounded_and_those_who_leave_make_room() {
        let places = Places::new(1, Duration::from_secs(60), 1);
        let _held = places.take().await.expect("the first");
        {
            let mut waiting = pin!(places.take());
            assert!(poll!(waiting.as_mut()).is_pending());
            assert!(places.take().await.is_none(), "the line is full");
        }
        let mut next = pin!(places.take());
        assert!(poll!(next.as_mut()).is_pending(), "there is room in the line again");
    }
}
