//! The places at a tool: so many requests under way at once, a bounded line for the rest, and a bounded wait in it. Tenants
//! share both: who has the fewest places is next, and who fills the line makes room for who has less of it.

mod line;

use std::sync::Arc;
use std::time::Duration;

use ::metrics::Gauge;
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(crate) use self::line::Shares;
use self::line::{Line, Ticket};
use crate::metrics;

/// The places at one tool.
#[derive(Debug)]
pub(crate) struct Places {
    line: Mutex<Line<oneshot::Sender<()>>>,
    wait: Duration,
    running: Gauge,
    waiting: Gauge,
}

/// One of them, free again when it is dropped: who is next is woken then.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    places: &'a Places,
    tenant: Arc<str>,
}

impl Places {
    pub(crate) fn new(tool: &str, shares: Shares, wait: Duration) -> Self {
        let (running, waiting) = metrics::places(tool);
        Self { line: Mutex::new(Line::new(shares)), wait, running, waiting }
    }

    /// The longest wait.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Takes a place for a tenant, waiting in line for it, but no longer than `at_most`. `None` where the line is full, the
    /// wait too long, or somebody with less of the line needs this stand in it.
    pub(crate) async fn take(&self, tenant: &str, at_most: Option<Duration>) -> Option<Place<'_>> {
        let mut stand = {
            let mut line = self.line.lock();
            if let Some(tenant) = line.take(tenant) {
                return Some(self.place(tenant));
            }
            let (wake, woken) = oneshot::channel();
            let (tenant, ticket) = line.join(tenant, wake)?;
            self.waiting.increment(1.0);
            Stand { places: self, tenant, ticket, woken }
        };
        let wait = at_most.map_or(self.wait, |most| most.min(self.wait));
        tokio::time::timeout(wait, &mut stand.woken).await.ok()?.ok()?;
        Some(self.place(Arc::clone(&stand.tenant)))
    }

    fn place(&self, tenant: Arc<str>) -> Place<'_> {
        self.running.increment(1.0);
        Place { places: self, tenant }
    }

    fn release(&self, tenant: &str) {
        let mut line = self.line.lock();
        line.release(tenant);
        while let Some(next) = line.grant() {
            // Who waits keeps its ear open until it has left the line, under this lock.
            let _ = next.send(());
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.running.decrement(1.0);
        self.places.release(&self.tenant);
    }
}

/// A stand in the line, given up also by those who go away.
struct Stand<'a> {
    places: &'a Places,
    tenant: Arc<str>,
    ticket: Ticket,
    woken: oneshot::Receiver<()>,
}

impl Drop for Stand<'_> {
    fn drop(&mut self) {
        self.places.waiting.decrement(1.0);
        let waited = self.places.line.lock().leave(&self.tenant, self.ticket);
        // Its place came while it went away: the next one shall have it.
        if !waited && self.woken.try_recv().is_ok() {
            self.places.release(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use futures::poll;
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn places(concurrency: usize, waiting_max: usize, wait: Duration) -> Places {
        Places::new("t", Shares::of_all(concurrency, waiting_max), wait)
    }

    #[tokio::test]
    async fn a_wait_for_a_place_is_bounded_in_time() {
        let places = places(1, 10, Duration::from_millis(30));
        let held = places.take("a", None).await.expect("the first");
        let start = Instant::now();
        assert!(places.take("a", None).await.is_none());
        assert!(start.elapsed() >= Duration::from_millis(30));
        assert!(places.take("a", Some(Duration::ZERO)).await.is_none(), "a caller without time does not wait");
        drop(held);
        assert!(places.take("a", None).await.is_some());
    }

    #[tokio::test]
    async fn the_line_is_bounded_and_those_who_leave_make_room() {
        let places = places(1, 1, LONG);
        let _held = places.take("a", None).await.expect("the first");
        {
            let mut waiting = pin!(places.take("a", None));
            assert!(poll!(waiting.as_mut()).is_pending());
            assert!(places.take("a", None).await.is_none(), "the line is full");
        }
        let mut next = pin!(places.take("a", None));
        assert!(poll!(next.as_mut()).is_pending(), "there is room in the line again");
    }

    #[tokio::test]
    async fn a_freed_place_wakes_the_next_and_nobody_else() {
        let places = places(1, 10, LONG);
        let held = places.take("a", None).await.expect("the first");
        let (mut next, mut last) = (Box::pin(places.take("a", None)), Box::pin(places.take("b", None)));
        let ears = [Arc::new(Ear::default()), Arc::new(Ear::default())];
        let [first, second] = ears.clone().map(Waker::from);
        assert!(next.as_mut().poll(&mut Context::from_waker(&first)).is_pending());
        assert!(last.as_mut().poll(&mut Context::from_waker(&second)).is_pending());
        drop(held);
        let heard = || ears.each_ref().map(|ear| ear.0.load(Ordering::SeqCst));
        assert_eq!(heard(), [1, 0], "the last one sleeps on");
        drop(next);
        assert_eq!(heard(), [1, 1], "its place came too late for it");
    }

    /// Counts how often somebody is woken.
    #[derive(Default)]
    struct Ear(AtomicUsize);

    impl Wake for Ear {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_place_that_comes_to_somebody_who_has_gone_goes_to_the_next() {
        let places = places(1, 10, LONG);
        let held = places.take("a", None).await.expect("the first");
        let mut next = Box::pin(places.take("b", None));
        {
            let mut gone = pin!(places.take("a", None));
            assert!(poll!(gone.as_mut()).is_pending() && poll!(next.as_mut()).is_pending());
            drop(held);
            // The place is this one's now, but it never looks.
        }
        assert!(poll!(next.as_mut()).is_ready());
        drop(next);
        assert!(places.take("a", None).await.is_some(), "nothing was lost on the way");
    }

    #[tokio::test]
    async fn who_fills_the_line_makes_room_for_another_tenant() {
        let places = places(1, 3, LONG);
        let _held = places.take("flood", None).await.expect("the first");
        let mut flood: Vec<_> = (0..3).map(|_| Box::pin(places.take("flood", None))).collect();
        for waiting in &mut flood {
            assert!(poll!(waiting).is_pending());
        }
        let mut other = Box::pin(places.take("other", None));
        assert!(poll!(&mut other).is_pending(), "it has a stand in the line");
        assert!(matches!(poll!(flood.pop().expect("three")), std::task::Poll::Ready(None)), "the last one's");
        assert!(poll!(&mut flood[0]).is_pending() && poll!(&mut flood[1]).is_pending());
    }
}
