//! What a redrive says while the disk says nothing.

use std::sync::atomic::Ordering;

use super::*;
use crate::queue::redrive::AT_ONCE;
use crate::queue::{RedriveAsk, Which};

/// A redrive of these, cancelled ones, that may be a repeat.
fn redrive(redrive: u128, which: Vec<Uuid>) -> RedriveAsk {
    RedriveAsk {
        tenant: None,
        redrive: Uuid::from_u128(redrive),
        repeats: true,
        which: Which::Named(which),
        statuses: vec![Status::Cancelled],
        dry_run: false,
        deadline: None,
    }
}

#[tokio::test]
async fn a_redrive_of_which_the_disk_says_nothing_is_in_doubt_and_its_repeat_tells() {
    let bench = Bench::start().await;
    let queue = &bench.queue;
    let member = || Submission { session: Some("s".into()), ..submission() };
    let (first, second) = (queue.enqueue(member()).await.unwrap().id, queue.enqueue(member()).await.unwrap().id);
    for id in [first, second] {
        queue.cancel(None, id, "enough".into()).await.unwrap();
    }
    let ask = || redrive(7, vec![first, second]);
    let (let_go, hold) = std::sync::mpsc::channel();
    bench.set(Disk::Silent(Arc::new(Mutex::new(hold))));
    let doubtful = queue.redrive(ask()).await.unwrap();
    assert!(doubtful.redriven.is_empty(), "{doubtful:?}");
    for refusal in &doubtful.refusals {
        assert!(refusal.reason == "IN_DOUBT" && refusal.retry_after.is_some(), "{refusal:?}");
    }
    assert_eq!(doubtful.refusals.len(), 2, "both went to the disk at once");

    bench.set(Disk::Well);
    drop(let_go);
    let told = patiently(async || {
        let told = queue.redrive(ask()).await?;
        match told.refusals.first() {
            Some(refusal) => Err(Error::unavailable(refusal.message.clone(), OPEN)),
            None => Ok(told),
        }
    });
    assert_eq!(told.await.redriven, [first, second], "once each, in their order");
    assert_eq!(queue.shared.core.lock().depths.waiting().0, 2);

    for id in [first, second] {
        queue.cancel(None, id, "enough".into()).await.unwrap();
    }
    queue.drain();
    let refused = queue.redrive(redrive(8, vec![first, second])).await.unwrap_err();
    assert!(refused.code() == Code::Unavailable && !refused.may_have_happened(), "a process that drains: {refused:?}");
}

#[tokio::test]
async fn a_redrive_that_a_drain_cuts_short_says_that_some_of_it_may_have_happened() {
    let bench = Bench::start().await;
    let queue = &bench.queue;
    let mut ids = Vec::new();
    for _ in 0..=AT_ONCE {
        let id = queue.enqueue(submission()).await.unwrap().id;
        queue.cancel(None, id, "enough".into()).await.unwrap();
        ids.push(id);
    }
    let (let_go, hold) = std::sync::mpsc::channel();
    bench.set(Disk::Silent(Arc::new(Mutex::new(hold))));
    let (under_way, ask) = (queue.clone(), redrive(7, ids.clone()));
    let cut_short = tokio::spawn(async move { under_way.redrive(ask).await });
    while queue.shared.asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    queue.drain();
    bench.set(Disk::Well);
    drop(let_go);
    let told = cut_short.await.unwrap().unwrap_err();
    assert!(told.code() == Code::Unavailable && told.may_have_happened(), "{told:?}");
    queue.settle_down().await;
    assert_eq!(queue.shared.core.lock().depths.waiting().0, AT_ONCE as u64, "what one commit takes was redriven");

    let again = queue.redrive(redrive(7, ids)).await.unwrap_err();
    assert!(again.may_have_happened(), "its repeat finds the rest undone: {again:?}");
}
