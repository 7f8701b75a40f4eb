use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

fn poll(outbox: &Outbox<u32>) -> Poll<Option<Result<Vec<u32>, String>>> {
    let cx = Context::from_waker(Waker::noop());
    outbox
        .poll(&cx, 100, |first, next| first % 2 == next % 2)
        .map(|ready| ready.map(|run| run.map(|run| run.items).map_err(|error| error.to_string())))
}

/// A waker, and how often it has woken.
fn counting() -> (Waker, impl Fn() -> usize) {
    #[derive(Default)]
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Woken::default());
    (Waker::from(Arc::clone(&woken)), move || woken.0.load(Ordering::Relaxed))
}

#[test]
fn what_goes_together_goes_in_one_message() {
    let outbox = Outbox::new(1_000);
    for (item, bytes) in [(1, 40), (3, 40), (5, 40), (2, 1), (7, 1)] {
        outbox.push(item, bytes);
    }
    for expected in [vec![1, 3], vec![5], vec![2], vec![7]] {
        assert_eq!(poll(&outbox), Poll::Ready(Some(Ok(expected))));
    }
    assert_eq!(poll(&outbox), Poll::Pending);
}

#[test]
fn a_stream_finishes_when_nothing_is_owed() {
    let outbox = Outbox::new(1_000);
    outbox.owe();
    outbox.finish();
    assert_eq!(poll(&outbox), Poll::Pending);
    outbox.pay(1, 1);
    assert_eq!(poll(&outbox), Poll::Ready(Some(Ok(vec![1]))));
    assert_eq!(poll(&outbox), Poll::Ready(None));
}

#[test]
fn what_does_not_hurry_wakes_nobody_and_goes_with_the_next_or_once_it_is_reminded_of() {
    let (outbox, (waker, woken)) = (Outbox::new(1_000), counting());
    let poll = |outbox: &Outbox<u32>| match outbox.poll(&Context::from_waker(&waker), 100, |_, _| true) {
        Poll::Ready(Some(Ok(run))) => run.items,
        _ => vec![],
    };
    assert!(poll(&outbox).is_empty());
    assert!(outbox.push_unhurried(1, 1), "somebody must promise to remind");
    assert!(!outbox.push_unhurried(3, 1), "somebody has");
    assert_eq!(woken(), 0);
    outbox.push(5, 1);
    assert_eq!((woken(), poll(&outbox)), (1, vec![1, 3, 5]));

    assert!(poll(&outbox).is_empty());
    outbox.push_unhurried(7, 1);
    assert_eq!(woken(), 1);
    outbox.remind();
    assert_eq!((woken(), poll(&outbox)), (2, vec![7]));
    assert!(outbox.push_unhurried(9, 1), "the next one is to be reminded of again");
}

#[test]
fn a_reader_that_has_gone_gets_nothing() {
    let outbox = Outbox::new(10);
    outbox.push(1, 20);
    assert!(outbox.is_full());
    outbox.abandon();
    outbox.push(1, 20);
    assert!(!outbox.is_full());
    assert_eq!(outbox.offer(1, 20), Err(1));
    assert_eq!(poll(&outbox), Poll::Ready(None));
}

#[test]
fn reading_says_when_it_makes_room() {
    let outbox = Outbox::new(10);
    outbox.push(1, 6);
    outbox.push(2, 6);
    let cx = Context::from_waker(Waker::noop());
    let rooms: Vec<bool> = (0..2)
        .filter_map(|_| match outbox.poll(&cx, 100, |_, _| false) {
            Poll::Ready(Some(Ok(run))) => Some(run.made_room),
            _ => None,
        })
        .collect();
    assert_eq!(rooms, [true, false]);
}

#[tokio::test]
async fn who_asks_waits_for_a_reader_that_does_not_read() {
    let outbox = Outbox::new(10);
    let held_back = async |outbox: &Outbox<u32>| {
        let eased = std::pin::pin!(outbox.eased(2));
        futures::poll!(eased).is_pending()
    };
    outbox.push(1, 20);
    assert!(held_back(&outbox).await, "too much is unread");
    let (_, read) = tokio::join!(outbox.eased(2), async { poll(&outbox) });
    assert!(read.is_ready());
    outbox.owe();
    assert!(!held_back(&outbox).await);
    outbox.owe();
    assert!(held_back(&outbox).await, "too much is owed");
    tokio::join!(outbox.eased(2), async { outbox.pay(1, 1) });
    outbox.push(1, 20);
    tokio::join!(outbox.eased(2), async { outbox.abandon() });
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_stuck_that_leaves_too_much_unread_for_too_long() {
    const PATIENCE: Duration = Duration::from_secs(5);
    let outbox = Outbox::new(10);
    (0..50).for_each(|item| outbox.push(2 * item, 2));
    assert!(!outbox.is_stuck(PATIENCE), "no reader could have read yet");
    tokio::time::advance(PATIENCE).await;
    assert!(outbox.is_stuck(PATIENCE));
    assert!(poll(&outbox).is_ready());
    assert!(!outbox.is_stuck(PATIENCE), "it has read");
    (0..50).for_each(|item| outbox.push(2 * item, 2));
    assert!(!outbox.is_stuck(PATIENCE), "its time begins anew");
    (0..50).for_each(|item| outbox.push(2 * item, 2));
    assert!(outbox.is_stuck(PATIENCE), "so much is left unread by nobody");
}
