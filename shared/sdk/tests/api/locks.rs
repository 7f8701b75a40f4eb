use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use holdfast_rpc::trace;
use holdfast_sdk::{
    Client,
    state::{Deletion, LockRequest, Precondition, State, Write},
};
use holdfast_testkit::Fault;
use tokio::time::timeout;

use crate::{
    served::{Served, address, number},
    standin::Mesh,
};

const SOON: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(60);

fn request() -> LockRequest {
    LockRequest::new("accounts", "C-1", "settling")
}

async fn names(state: &State) -> Vec<String> {
    let page = state.locks("accounts", "C-1", 0, "").await.expect("reachable");
    page.locks.into_iter().map(|lock| lock.name).collect()
}

#[tokio::test]
async fn one_holds_a_lock_and_the_next_has_it_when_it_is_given_back() {
    let served = Served::start().await;
    let (one, other) = (served.state(), served.state());
    let held = one.lock(request()).await.expect("nobody has it");
    assert!(held.is_held());
    let refused = other.lock(request()).await.expect_err("another has it");
    assert_eq!(refused.reason(), "LOCK_HELD");
    assert!(refused.retry_after().is_some());

    let info = one.locks("accounts", "C-1", 0, "").await.expect("reachable").locks.remove(0);
    assert_eq!((info.name.as_str(), info.fence, info.ttl), ("settling", held.fence(), Duration::from_secs(30)));
    assert!(info.acquired.is_some() && !info.holder.is_empty());

    let (next, ()) = tokio::join!(timeout(SOON, other.lock(request().wait(LONG))), async {
        held.release().await.expect("reachable");
    });
    let next = next.expect("in time").expect("it was given back");
    assert!(next.is_held());
    drop(next);
    let third = timeout(SOON, one.lock(request().wait(LONG))).await.expect("in time");
    third.expect("a lock that is dropped is given back").release().await.expect("reachable");
    assert!(names(&one).await.is_empty());
}

#[tokio::test]
async fn fences_rise_from_holder_to_holder() {
    let served = Served::start().await;
    let state = served.state();
    let mut before = 0;
    for _ in 0..5 {
        let lock = state.lock(request()).await.expect("free");
        assert!(lock.fence() > before, "{} after {before}", lock.fence());
        before = lock.fence();
        lock.release().await.expect("reachable");
    }
}

#[tokio::test]
async fn one_at_a_time_is_within_and_everybody_gets_in() {
    let served = Served::start().await;
    let inside = Arc::new(AtomicU32::new(0));
    let all = (0..12).map(|_| {
        let (state, inside) = (served.state(), inside.clone());
        async move {
            let lock = state.lock(request().wait(LONG)).await.expect("it gets its turn");
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            let current = state.get(&address("k")).await.expect("reachable");
            let count = current.map_or(0, |record| record.json::<u64>().expect("a number"));
            let write = Write::new(address("k"), number(count + 1), Precondition::Overwrite).under(lock.guard());
            state.write(write).await.expect("the lock is held");
            inside.fetch_sub(1, Ordering::SeqCst);
            lock.release().await.expect("reachable");
        }
    });
    timeout(Duration::from_secs(18), join_all(all)).await.expect("in time");
    let record = served.state().get(&address("k")).await.expect("reachable").expect("written");
    assert_eq!(record.json::<u64>().expect("a number"), 12, "no update is lost");
}

#[tokio::test]
async fn a_write_under_a_lock_that_was_given_back_is_refused() {
    let served = Served::start().await;
    let state = served.state();
    let lock = state.lock(request()).await.expect("free");
    let guard = lock.guard().clone();
    let write = |count| Write::new(address("k"), number(count), Precondition::Overwrite);
    state.write(write(1).under(&guard)).await.expect("it is held");
    lock.release().await.expect("reachable");

    let refused = state.write(write(2).under(&guard)).await.expect_err("nobody has it");
    assert_eq!(refused.reason(), "LOCK_LOST");
    let _next = state.lock(request()).await.expect("free");
    let deletion = Deletion::new(address("k"), Precondition::Overwrite).under(&guard);
    assert_eq!(state.remove(deletion).await.expect_err("another has it").reason(), "LOCK_LOST");
    let record = state.get(&address("k")).await.expect("reachable").expect("there");
    assert_eq!(record.json::<u64>().expect("a number"), 1);
}

#[tokio::test]
async fn a_lock_is_renewed_for_as_long_as_it_is_wanted() {
    let served = Served::start().await;
    let state = served.state();
    let lock = state.lock(request().ttl(Duration::from_secs(1))).await.expect("free");
    // Somebody in line for twice the time: a lock that is not renewed would be theirs.
    let waiting = state.lock(request().wait(Duration::from_millis(2_500))).await;
    assert_eq!(waiting.expect_err("it is renewed").reason(), "LOCK_HELD");
    assert!(lock.is_held());
    let write = Write::new(address("k"), number(1), Precondition::Absent).under(lock.guard());
    state.write(write).await.expect("it is held");
}

#[tokio::test]
async fn who_cannot_renew_knows_that_the_lock_is_lost_before_another_has_it() {
    let served = Served::start().await;
    let state = served.state();
    state.get(&address("k")).await.expect("the connection stands");
    // The answer comes late: the time runs from when the lock was given, long before.
    served.set(Fault::Delay(Duration::from_millis(300)));
    let lock = state.lock(request().ttl(Duration::from_secs(3))).await.expect("free");
    assert!(lock.is_held());
    served.set(Fault::Stall);
    let next = timeout(SOON, served.direct().lock(request().wait(LONG))).await.expect("in time");
    assert!(next.expect("its time is over").fence() > lock.fence());
    assert!(!lock.is_held(), "two hold it at once");
    timeout(SOON, lock.lost()).await.expect("its keeper knows it too");
    served.set(Fault::None);
}

#[tokio::test]
async fn a_place_in_line_outlives_a_broken_connection() {
    let served = Served::start().await;
    let held = served.state().lock(request()).await.expect("free");
    let (state, request) = (served.state(), request().wait(LONG));
    let waiting = tokio::spawn(async move { state.lock(request).await });
    while served.state().locks("accounts", "C-1", 0, "").await.expect("reachable").locks[0].waiting == 0 {
        tokio::task::yield_now().await;
    }
    served.cut();
    held.release().await.expect("reachable");
    let lock = timeout(SOON, waiting).await.expect("in time").expect("no panic").expect("it is next");
    assert!(lock.is_held());
}

#[tokio::test]
async fn what_keeps_a_lock_stands_in_the_trace_that_it_was_taken_in() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mesh = Mesh::start().await;
    let state = Client::connect(&mesh.url(), "").expect("well-formed").state();
    let lock = trace::scope(TRACE.into(), state.lock(request())).await.expect("free");
    lock.release().await.expect("reachable");
    assert_eq!(*mesh.state.given_back.lock(), [TRACE]);
}
