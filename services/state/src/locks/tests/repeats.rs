//! The same request again: after a lost reply, at another process, or beside the first.

use futures::future::BoxFuture;

use super::*;

/// A call whose answer is on its way, and not heard.
async fn unheard(process: &Process, request: Acquire) -> BoxFuture<'static, Result<Lock, Failed>> {
    let state = process.state.clone();
    let mut call: BoxFuture<'static, _> = Box::pin(async move { state.acquire(request).await });
    assert!(futures::poll!(&mut call).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    call
}

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
async fn an_answer_that_nobody_heard_gives_the_lock_back() {
    let farm = Process::first();
    let call = unheard(&farm, ask("gone", Duration::ZERO)).await;
    assert_held_by_another(farm.another().take(Duration::ZERO).await);
    drop(call);
    let started = Instant::now();
    farm.another().take(LONG).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_repeat_was_told_elsewhere_is_not_given_back() {
    let (farm, request) = (Process::first(), ask("somebody", Duration::ZERO));
    let cut_off = unheard(&farm, request.clone()).await;
    let lock = farm.another().state.acquire(request).await.unwrap();
    drop(cut_off);
    tokio::time::sleep(Duration::from_secs(2)).await;
    farm.write_under(lock.fence).await.expect("it is the holder's still");
}

#[tokio::test(start_paused = true)]
async fn a_late_copy_of_a_request_takes_nothing_from_its_holder() {
    let farm = Process::first();
    let request = ask("somebody", Duration::ZERO);
    let lock = farm.state.acquire(request.clone()).await.unwrap();
    for renewed in [false, true] {
        if renewed {
            farm.renew(lock.fence).await.unwrap();
        }
        // Gone before its desk has looked, and gone with the answer unheard.
        let early = tokio::spawn({
            let (state, request) = (farm.state.clone(), request.clone());
            async move { state.acquire(request).await }
        });
        tokio::task::yield_now().await;
        early.abort();
        drop(unheard(&farm, request.clone()).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
        farm.write_under(lock.fence).await.expect("it is the holder's still");
    }
}
