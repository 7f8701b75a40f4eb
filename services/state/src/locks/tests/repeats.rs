//! The same request again: after a lost reply, at another process, or beside the first.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_repeat_gets_the_lock_that_it_has() {
    let farm = Process::first();
    let request = ask("somebody", Duration::ZERO);
    let lock = farm.state.acquire(request.clone()).await.unwrap();
    assert_eq!(farm.state.acquire(request.clone()).await.unwrap(), lock);
    assert_eq!(farm.another().state.acquire(request).await.unwrap(), lock);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_keeps_its_place_at_any_process() {
    let farm = Process::first();
    let other = farm.another();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let request = ask("first", LONG);
    let first = farm.queue_as(request.clone()).await;
    let second = farm.queue("second", LONG).await;

    let repeat = tokio::spawn({
        let (state, request) = (other.state.clone(), request.clone());
        async move { state.acquire(request).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The call that was cut off leaves the line; its repeat has taken the place over.
    first.abort();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(farm.waiting().await, 2);
    farm.release(lock.fence).await.unwrap();
    let lock = told(repeat).await.unwrap();
    assert_eq!(&*lock.holder, "first");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!second.is_finished());
    farm.renew(lock.fence).await.expect("nobody gave it back");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_beside_the_first_gets_the_same_lock() {
    let farm = Process::first();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let request = ask("twice", LONG);
    let first = farm.queue_as(request.clone()).await;
    let repeat = tokio::spawn({
        let state = farm.state.clone();
        async move { state.acquire(request).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    farm.release(lock.fence).await.unwrap();
    assert_eq!(told(first).await.unwrap(), told(repeat).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_nobody_heard_of_is_given_back() {
    let farm = Process::first();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let gone = farm.queue("gone", LONG).await;
    // It is offered the lock, and goes away before its desk has looked.
    farm.release(lock.fence).await.unwrap();
    gone.abort();
    let started = Instant::now();
    farm.take(LONG).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_late_copy_of_a_request_takes_nothing_from_its_holder() {
    let farm = Process::first();
    let request = ask("somebody", Duration::ZERO);
    let lock = farm.state.acquire(request.clone()).await.unwrap();
    for process in [farm.clone(), farm.another()] {
        for renewed in [false, true] {
            if renewed {
                farm.renew(lock.fence).await.unwrap();
            }
            let copy = process.state.clone();
            let request = request.clone();
            let copy = tokio::spawn(async move { copy.acquire(request).await });
            tokio::task::yield_now().await;
            copy.abort();
            tokio::time::sleep(Duration::from_secs(2)).await;
            farm.renew(lock.fence).await.expect("it is the holder's still");
        }
    }
}
