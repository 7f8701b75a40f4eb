//! Who has the lock, and who has it next.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lock_is_one_holders() {
    let farm = Process::first();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    assert_eq!((&*lock.name, &*lock.holder, lock.ttl, lock.waiting), (NAME, "somebody", TTL, 0));
    assert_held_by_another(farm.take(Duration::ZERO).await);
    assert_held_by_another(farm.another().take(Duration::ZERO).await);

    farm.release(lock.fence).await.unwrap();
    let next = farm.another().take(Duration::ZERO).await.unwrap();
    assert!(next.fence > lock.fence, "the fence rises with each holder");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_has_it_in_the_order_in_which_they_came() {
    let processes = [Process::first()];
    let processes = [processes[0].clone(), processes[0].another(), processes[0].another()];
    let mut lock = processes[0].take(Duration::ZERO).await.unwrap();
    let mut calls = Vec::new();
    for n in 0..60 {
        calls.push(processes[n % 3].queue(&n.to_string(), LONG).await);
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(processes[0].waiting().await, 60 - n);
        processes[(n + 1) % 3].release(lock.fence).await.unwrap();
        let next = told(call).await.unwrap();
        assert_eq!((&*next.holder, next.fence > lock.fence), (n.to_string().as_str(), true));
        lock = next;
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_come_at_once_have_it_one_after_another() {
    let first = Process::first();
    let processes = [first.clone(), first.another(), Process::over(first.model.deaf())];
    let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let work = (0..300).map(|n| {
        let (process, inside) = (processes[n % 3].clone(), Arc::clone(&inside));
        tokio::spawn(async move {
            let lock = process.take(LONG).await.expect("everybody's turn comes");
            assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "one at a time");
            process.write_under(lock.fence).await.expect("it is the holder");
            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            process.release(lock.fence).await.expect("the stores are there");
            lock.fence
        })
    });
    let mut fences = Vec::new();
    for call in work.collect::<Vec<_>>() {
        fences.push(call.await.expect("nothing panics"));
    }
    fences.sort_unstable();
    fences.dedup();
    assert_eq!(fences.len(), 300, "no fence is given twice");
    assert!(first.state.locks(&partition(), "", 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_time() {
    let farm = Process::first();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let started = Instant::now();
    assert_held_by_another(farm.take(Duration::from_secs(5)).await);
    assert_eq!(started.elapsed().as_secs(), 5);
    settle().await;
    assert_eq!(farm.waiting().await, 0, "it has left the line");
    farm.release(lock.fence).await.unwrap();
    assert!(farm.state.locks(&partition(), "", 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_leaves_the_line() {
    let farm = Process::first();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let (gone, stays) = (farm.queue("gone", LONG).await, farm.queue("stays", LONG).await);
    gone.abort();
    settle().await;
    assert_eq!(farm.waiting().await, 1);
    farm.release(lock.fence).await.unwrap();
    assert_eq!(&*told(stays).await.unwrap().holder, "stays");
}

#[tokio::test(start_paused = true)]
async fn the_line_has_an_end() {
    let farm = Process::first();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let farm = farm.clone();
            tokio::spawn(async move { farm.take(LONG).await })
        })
        .collect();
    settle().await;
    assert_eq!(farm.waiting().await, 1_000);
    let turned_away = farm.take(LONG).await;
    assert!(matches!(turned_away, Err(Failed::Full { .. })), "{turned_away:?}");
    calls.iter().for_each(JoinHandle::abort);
    settle().await;
    assert_eq!(farm.waiting().await, 0);
    farm.release(lock.fence).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_overtakes_nobody() {
    let farm = Process::first();
    let lock = farm.take(Duration::ZERO).await.unwrap();
    let waits = farm.another().queue("waits", LONG).await;
    farm.release(lock.fence).await.unwrap();
    assert_held_by_another(farm.take(Duration::ZERO).await);
    told(waits).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn locks_are_listed_by_name() {
    let farm = Process::first();
    for name in ["c", "a", "b"] {
        farm.state.acquire(Acquire { name: name.into(), ..ask(name, Duration::ZERO) }).await.unwrap();
    }
    let names = |locks: Vec<Lock>| locks.into_iter().map(|lock| lock.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(farm.state.locks(&partition(), "", 2).await.unwrap()), ["a", "b"]);
    assert_eq!(names(farm.state.locks(&partition(), "b", 2).await.unwrap()), ["c"]);
}

/// Time for desks to tidy up: paused, it passes when nobody has anything to do.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}
