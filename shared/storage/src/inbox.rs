//! What waits for a thread: a bounded pile that is taken whole.
//!
//! Whoever puts into an empty pile does not wake the thread itself where a [`relay`](Inbox::relay) runs: it asks that task,
//! which has its turn behind all that was ready to put something in by then. So a batch is as full as a round of the runtime
//! makes it, and there is one wake-up for it, without a timer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_resilience::BusyPoll;
use tokio::sync::Notify;

use crate::{Class, Failure};

/// Something that an inbox did not take, handed back.
#[derive(Debug)]
pub struct Refused<T> {
    /// What was offered.
    pub offered: T,
    /// Why it was not taken.
    pub failure: Failure,
}

/// Many put in, one thread takes out.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    pile: Mutex<Pile<T>>,
    filled: Condvar,
    /// Whether a task wakes the thread …
    relayed: AtomicBool,
    /// … and what wakes that.
    first: Notify,
    /// Whether what lies there is to be taken now: what a thread that does not sleep looks at.
    called: AtomicBool,
    waiting_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Pile<T> {
    items: Vec<T>,
    bytes: usize,
    closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(waiting_max: usize, bytes_max: usize) -> Self {
        let pile = Pile { items: Vec::new(), bytes: 0, closed: false };
        Self {
            pile: Mutex::new(pile),
            filled: Condvar::new(),
            relayed: AtomicBool::new(false),
            first: Notify::new(),
            called: AtomicBool::new(false),
            waiting_max,
            bytes_max,
        }
    }

    /// Takes all of `items`, which are so large together, or none. Whatever their size, an empty inbox takes them.
    pub(crate) fn put(&self, items: Vec<T>, bytes: usize) -> Result<(), Refused<Vec<T>>> {
        if items.is_empty() {
            return Ok(());
        }
        let mut pile = self.pile();
        if pile.closed {
            return Err(refused(items, Class::Closed, "it is closed"));
        }
        if pile.items.len() + items.len() > self.waiting_max {
            return Err(refused(items, Class::Overloaded, "too many commands wait"));
        }
        let idle = pile.items.is_empty();
        if !idle && pile.bytes + bytes > self.bytes_max {
            return Err(refused(items, Class::Overloaded, "commands of too many bytes wait"));
        }
        pile.bytes += bytes;
        if idle {
            pile.items = items;
        } else {
            pile.items.extend(items);
        }
        drop(pile);
        // A pile that was not empty has a thread on its way to it already.
        if idle {
            self.wake();
        }
        Ok(())
    }

    fn wake(&self) {
        if self.relayed.load(Ordering::Acquire) { self.first.notify_one() } else { self.call() }
    }

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.filled.notify_one();
    }

    /// Wakes the thread for those who put something in, until the inbox is closed.
    pub(crate) async fn relay(self: Arc<Self>) {
        let relaying = Relaying::begin(&self);
        while !self.pile().closed {
            self.first.notified().await;
            self.call();
        }
        drop(relaying);
    }

    /// The whole pile, once there is one; `None` once closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<T>> {
        let mut pile = self
            .filled
            .wait_while(self.pile(), |pile| pile.items.is_empty() && !pile.closed)
            .unwrap_or_else(PoisonError::into_inner);
        pile.bytes = 0;
        self.called.store(pile.closed, Ordering::Release);
        let items = std::mem::take(&mut pile.items);
        (!items.is_empty()).then_some(items)
    }

    /// The same, by a thread that looks for a while before it sleeps.
    pub(crate) fn take_polling(&self, poll: &mut BusyPoll) -> Option<Vec<T>> {
        let since = Instant::now();
        self.look(since, poll.window());
        let taken = self.take();
        poll.waited(since.elapsed());
        taken
    }

    /// Looks until it is called or that long is over; whoever wants the processor meanwhile gets it.
    fn look(&self, since: Instant, window: Duration) {
        // A call for what was taken before it came only ends a look early.
        while !self.called.load(Ordering::Acquire) && since.elapsed() < window {
            std::thread::yield_now();
        }
    }

    /// The same, or nothing after so long a wait.
    pub(crate) fn take_within(&self, patience: Duration) -> Option<Vec<T>> {
        let waits = |pile: &mut Pile<T>| pile.items.is_empty() && !pile.closed;
        let waited = self.filled.wait_timeout_while(self.pile(), patience, waits);
        let (mut pile, _) = waited.unwrap_or_else(PoisonError::into_inner);
        pile.bytes = 0;
        let items = std::mem::take(&mut pile.items);
        (!items.is_empty() || !pile.closed).then_some(items)
    }

    /// Takes nothing more; what is inside is still handed out.
    pub(crate) fn close(&self) {
        self.pile().closed = true;
        self.called.store(true, Ordering::Release);
        self.filled.notify_all();
        self.first.notify_one();
    }

    /// Waits for that long at most; true once it is closed.
    pub(crate) fn closes_within(&self, patience: Duration) -> bool {
        let open = self.filled.wait_timeout_while(self.pile(), patience, |pile| !pile.closed);
        open.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    pub(crate) fn waiting(&self) -> usize {
        self.pile().items.len()
    }

    fn pile(&self) -> MutexGuard<'_, Pile<T>> {
        // Nobody can panic while holding it half-changed.
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A relay at work. However it ends, nobody asks it any more, and what it was asked for last is done.
struct Relaying<'i, T>(&'i Inbox<T>);

impl<'i, T> Relaying<'i, T> {
    fn begin(inbox: &'i Inbox<T>) -> Self {
        inbox.relayed.store(true, Ordering::Release);
        Self(inbox)
    }
}

impl<T> Drop for Relaying<'_, T> {
    fn drop(&mut self) {
        self.0.relayed.store(false, Ordering::Release);
        // Under the pile's lock: who has put something in before this and asked the relay is heard.
        let _pile = self.0.pile();
        self.0.call();
    }
}

/// Closes an inbox with its thread.
pub(crate) struct CloseOnDrop<T>(pub(crate) Arc<Inbox<T>>);

impl<T> Drop for CloseOnDrop<T> {
    fn drop(&mut self) {
        self.0.close();
        // Dropping the tags tells whoever waits on them.
        drop(self.0.take());
    }
}

fn refused<T>(offered: T, class: Class, why: &str) -> Refused<T> {
    Refused { offered, failure: Failure::new(class, why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pile that a thread is woken for, where as many tasks as there are numbers put one in.
    async fn woken_for(inbox: &Arc<Inbox<u32>>, numbers: u32) -> Vec<u32> {
        let thread = std::thread::spawn({
            let inbox = Arc::clone(inbox);
            move || inbox.take().unwrap_or_default()
        });
        let tasks: Vec<_> = (0..numbers)
            .map(|number| {
                let inbox = Arc::clone(inbox);
                tokio::spawn(async move { inbox.put(vec![number], 0).expect("there is room") })
            })
            .collect();
        for task in tasks {
            task.await.expect("it does not panic");
        }
        tokio::task::spawn_blocking(move || thread.join().expect("it does not panic")).await.expect("it ends")
    }

    #[tokio::test]
    async fn nothing_that_is_put_in_through_a_relay_is_left_lying() {
        let inbox = Arc::new(Inbox::new(100, usize::MAX));
        let relay = tokio::spawn(Arc::clone(&inbox).relay());
        tokio::task::yield_now().await;
        // The thread itself looks before it waits: it may find the first ones on its own.
        let first = woken_for(&inbox, 50).await;
        let rest = if first.len() < 50 { inbox.take().unwrap_or_default() } else { Vec::new() };
        assert_eq!(first.len() + rest.len(), 50);
        inbox.close();
        relay.await.expect("it ends with the inbox");
    }

    #[test]
    fn a_thread_that_looks_finds_what_is_put_in_meanwhile() {
        let inbox = Arc::new(Inbox::new(100, usize::MAX));
        let looking = std::thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || inbox.look(Instant::now(), Duration::MAX)
        });
        inbox.put(vec![1], 0).expect("there is room");
        looking.join().expect("it does not panic");
        assert_eq!(inbox.take(), Some(vec![1]));
        assert!(!inbox.called.load(Ordering::Acquire), "the next look is for the next ones");
        inbox.close();
        inbox.look(Instant::now(), Duration::MAX);
        assert_eq!(inbox.take(), None);
        inbox.look(Instant::now(), Duration::MAX);
    }

    #[tokio::test]
    async fn a_thread_that_looks_is_called_behind_all_that_was_ready() {
        let inbox = Arc::new(Inbox::new(100, usize::MAX));
        tokio::spawn(Arc::clone(&inbox).relay());
        tokio::task::yield_now().await;
        for number in 0..3 {
            inbox.put(vec![number], 0).expect("there is room");
            assert!(!inbox.called.load(Ordering::Acquire), "the round is not over");
        }
        tokio::task::yield_now().await;
        inbox.look(Instant::now(), Duration::MAX);
        assert_eq!(inbox.take(), Some(vec![0, 1, 2]));
        inbox.close();
    }

    #[test]
    fn a_thread_that_has_looked_for_long_enough_sleeps_until_it_is_woken() {
        let inbox = Arc::new(Inbox::new(1_000, usize::MAX));
        let taking = std::thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                let mut poll = BusyPoll::new(Duration::from_millis(1));
                let mut taken = Vec::new();
                while let Some(pile) = inbox.take_polling(&mut poll) {
                    taken.extend(pile);
                }
                taken
            }
        });
        for number in 0..1_000 {
            inbox.put(vec![number], 0).expect("there is room");
        }
        inbox.close();
        assert_eq!(taking.join().expect("it does not panic"), (0..1_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_end_of_the_relay_leaves_nobody_waiting() {
        let inbox = Arc::new(Inbox::new(100, usize::MAX));
        let relay = tokio::spawn(Arc::clone(&inbox).relay());
        tokio::task::yield_now().await;
        inbox.put(vec![1], 0).expect("there is room");
        relay.abort();
        assert_eq!(woken_for(&inbox, 1).await.first(), Some(&1));
        inbox.put(vec![2], 0).expect("there is room");
        assert!(inbox.take().is_some_and(|pile| pile.contains(&2)), "without a relay it is woken as before");
    }
}
