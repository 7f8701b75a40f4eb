//! Holders, waiters and processes that are not there any more.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lock_whose_holder_is_silent_is_the_next_ones_after_its_time() {
    let (dead, farm) = pair();
    let lock = dead.take(Duration::ZERO).await.unwrap();
    dead.die();
    let started = Instant::now();
    let next = farm.take(LONG).await.unwrap();
    let waited = started.elapsed();
    assert!(waited >= TTL && waited < TTL + Duration::from_secs(1), "{waited:?}");
    assert!(next.fence > lock.fence);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_renewed_stays_its_holders() {
    let (farm, other) = pair();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let waits = other.queue("waits", LONG).await;
    for _ in 0..10 {
        tokio::time::sleep(TTL - Duration::from_secs(1)).await;
        farm.renew(lock.fence).await.unwrap();
        assert!(!waits.is_finished());
    }
    farm.write_under(lock.fence).await.unwrap();
    let silent_since = Instant::now();
    told(waits).await.unwrap();
    assert!(silent_since.elapsed() >= TTL, "counted from the last renewal");
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_and_again_without_waiting_has_it_after_its_time() {
    let (dead, farm) = pair();
    dead.take(Duration::ZERO).await.unwrap();
    dead.die();
    let started = Instant::now();
    let waited = loop {
        match farm.take(Duration::ZERO).await {
            Ok(_) => break started.elapsed(),
            Err(Failed::LockHeld { retry_after }) => tokio::time::sleep(retry_after).await,
            Err(failed) => panic!("{failed:?}"),
        }
    };
    assert!(waited >= TTL && waited < TTL + Duration::from_secs(2), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_comes_back_late_neither_renews_nor_writes_nor_takes_it_away() {
    let (late, farm) = pair();
    let lock = late.take(Duration::ZERO).await.unwrap();
    let next = farm.take(LONG).await.unwrap();
    assert_lock_lost(late.renew(lock.fence).await);
    assert_lock_lost(late.write_under(lock.fence).await);
    late.release(lock.fence).await.expect("giving back what is lost is no error");
    farm.write_under(next.fence).await.unwrap();
    farm.renew(next.fence).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_late_but_before_anybody_took_it_over_counts() {
    let (farm, other) = pair();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    tokio::time::sleep(TTL * 2).await;
    farm.renew(lock.fence).await.unwrap();
    assert_held_by_another(other.take(Duration::ZERO).await);
    farm.write_under(lock.fence).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_lapses_is_the_first_in_lines() {
    let (dead, farm) = pair();
    dead.take(Duration::ZERO).await.unwrap();
    let mut calls = Vec::new();
    for name in ["first", "second", "third"] {
        calls.push(farm.another().queue(name, LONG).await);
    }
    dead.die();
    assert_eq!(&*told(calls.remove(0)).await.unwrap().holder, "first");
    assert!(calls.iter().all(|call| !call.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_on_its_way_while_the_lock_is_given_back_is_refused() {
    let (farm, slow) = pair();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    slow.model.delay(Duration::from_millis(300));
    let renewal = tokio::spawn(async move { slow.renew(lock.fence).await });
    // It has looked, and is about to write.
    tokio::time::sleep(Duration::from_secs(1)).await;
    farm.release(lock.fence).await.unwrap();
    assert_lock_lost(renewal.await.expect("no panic"));
}

/// Whatever comes in between a look at the lock and the take-over that follows from it.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_was_answered_is_never_overlooked() {
    let mut too_late = 0;
    for offset in 0..60 {
        let (farm, slow) = pair();
        slow.model.delay(Duration::from_millis(300));
        let lock = farm.take(Duration::ZERO).await.unwrap();
        let began = Instant::now();
        let waits = tokio::spawn(async move { slow.take(LONG).await });
        tokio::time::sleep_until(began + TTL + Duration::from_millis(50) * offset).await;
        let renewed = farm.renew(lock.fence).await;
        let at = Instant::now();
        told(waits).await.unwrap();
        match renewed {
            Ok(()) => assert!(at.elapsed() >= TTL, "renewed {offset}, and taken {:?} later", at.elapsed()),
            Err(lost) => {
                assert_lock_lost::<()>(Err(lost));
                too_late += 1;
            }
        }
    }
    assert!(too_late > 0, "some came too late");
}

#[tokio::test(start_paused = true)]
async fn the_waiters_of_a_dead_process_hold_the_line_up_once() {
    let (farm, dead) = pair();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    for n in 0..50 {
        dead.queue(&format!("dead {n}"), LONG).await;
    }
    let lives = farm.queue("lives", LONG).await;
    dead.die();
    let started = Instant::now();
    farm.release(lock.fence).await.unwrap();
    assert_eq!(&*told(lives).await.unwrap().holder, "lives");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dead_waiter_leaves_the_line_when_its_wait_is_over() {
    let (farm, dead) = pair();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    dead.queue("dead", Duration::from_secs(20)).await;
    dead.die();
    let lives = farm.queue("lives", LONG).await;
    assert_eq!(farm.waiting().await, 2);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        farm.renew(lock.fence).await.unwrap();
    }
    assert_eq!(farm.waiting().await, 1, "the one that lives");
    lives.abort();
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_only_slow_lines_up_anew() {
    let (farm, slow) = pair();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let delayed = slow.queue("delayed", LONG).await;
    let waits = farm.queue("waits", LONG).await;
    slow.model.away(true);
    farm.release(lock.fence).await.unwrap();
    let next = told(waits).await.unwrap();
    slow.model.away(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    farm.release(next.fence).await.unwrap();
    assert_eq!(&*told(delayed).await.unwrap().holder, "delayed");
}

/// Without news a process looks by itself, and soon enough to claim what it is offered.
#[tokio::test(start_paused = true)]
async fn a_process_that_hears_nothing_keeps_its_turn() {
    let farm = Process::first();
    let deaf = Process::over(farm.model.deaf());
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let waits = deaf.queue("deaf", LONG).await;
    let started = Instant::now();
    farm.release(lock.fence).await.unwrap();
    assert_eq!(&*told(waits).await.unwrap().holder, "deaf");
    assert!(started.elapsed() < Duration::from_secs(1));
}

fn pair() -> (Process, Process) {
    let first = Process::first();
    let second = first.another();
    (first, second)
}
