//! Lost replies, writes that were not taken, stores that are gone, and leases that are superseded.

use super::*;
use crate::{decider::model::Mishap, store::FenceScope};

#[tokio::test(start_paused = true)]
async fn lost_replies_lose_no_lock_and_leave_none_behind() {
    for mishap in [Mishap::LostReply, Mishap::Untaken] {
        let farm = Process::first();
        // A caller who comes is told of the trouble, and asks again by the same id.
        farm.model.mishaps([mishap]);
        let request = ask("somebody", Duration::ZERO);
        let first = farm.state.acquire(request.clone()).await;
        assert!(matches!(first, Err(Failed::Store(_))), "{first:?}");
        let lock = farm.state.acquire(request).await.unwrap();

        farm.model.mishaps([mishap]);
        assert!(farm.renew(lock.fence).await.is_err());
        farm.renew(lock.fence).await.unwrap();

        // Who stands in line waits for the stores too.
        let waits = farm.queue("waits", LONG).await;
        farm.model.mishaps([mishap]);
        assert!(farm.release(lock.fence).await.is_err());
        farm.model.mishaps([mishap]);
        let _ = farm.release(lock.fence).await;
        farm.release(lock.fence).await.unwrap();
        let lock = told(waits).await.unwrap();
        farm.write_under(lock.fence).await.unwrap();
        farm.release(lock.fence).await.unwrap();
        assert!(farm.state.locks(&partition(), "", 10).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn without_stores_a_caller_is_told_at_once_and_one_in_line_at_its_time() {
    let farm = Process::first();
    farm.take(Duration::ZERO).await.unwrap();
    let waits = farm.queue("waits", Duration::from_secs(5)).await;
    farm.model.away(true);
    let started = Instant::now();
    let told_now = farm.take(LONG).await;
    assert!(matches!(told_now, Err(Failed::Store(_))), "{told_now:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
    let told_then = told(waits).await;
    assert!(matches!(told_then, Err(Failed::Store(_))), "{told_then:?}");
    assert!(started.elapsed() >= Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_all_waits_and_keeps_the_places_in_line() {
    let farm = Process::first();
    let other = farm.another();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let request = ask("waits", LONG);
    let waits = farm.queue_as(request.clone()).await;
    let second = other.queue("second", LONG).await;
    farm.state.close().await;
    assert!(matches!(told(waits).await, Err(Failed::Closed { .. })));
    assert!(matches!(farm.take(LONG).await, Err(Failed::Closed { .. })));

    let repeat = tokio::spawn({
        let state = other.state.clone();
        async move { state.acquire(request).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    other.release(lock.fence).await.unwrap();
    assert_eq!(&*told(repeat).await.unwrap().holder, "waits");
    assert!(!second.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_superseded_lease_takes_no_lock_and_gives_none_back() {
    let farm = Process::first();
    let scope = FenceScope { tenant: "acme".into(), name: "session:s-1".into() };
    let lease = |number, lease: &str| Some(Holder { scope: scope.clone(), number, lease: lease.into() });
    let (old, new) = (lease(1, "old"), lease(2, "new"));
    let request = Acquire { lease: old.clone(), ..ask("old", Duration::ZERO) };
    let lock = farm.state.acquire(request.clone()).await.unwrap();

    // The next lease of the same work repeats the request, and has the lock.
    let again = Acquire { lease: new.clone(), ..request.clone() };
    assert_eq!(farm.state.acquire(again).await.unwrap(), lock);
    let fenced = |outcome: Result<(), Failed>| assert!(matches!(outcome, Err(Failed::Fenced(_))), "{outcome:?}");
    fenced(farm.state.acquire(request).await.map(drop));
    fenced(farm.state.renew(&Held { lease: old.clone(), ..held(lock.fence) }).await);
    fenced(farm.state.release(&Held { lease: old, ..held(lock.fence) }).await);
    farm.state.renew(&Held { lease: new, ..held(lock.fence) }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_superseded_while_it_waits_has_no_turn() {
    let farm = Process::first();
    let scope = FenceScope { tenant: "acme".into(), name: "session:s-1".into() };
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let lease = Some(Holder { scope: scope.clone(), number: 1, lease: "old".into() });
    let zombie = farm.queue_as(Acquire { lease, ..ask("zombie", LONG) }).await;
    let next = farm.queue("next", LONG).await;
    farm.state.raise_fence(&scope, 1).await.unwrap();
    farm.release(lock.fence).await.unwrap();
    assert!(matches!(told(zombie).await, Err(Failed::Fenced(_))));
    assert_eq!(&*told(next).await.unwrap().holder, "next");
}
