//! What a redrive says while the disk says nothing.

use super::*;
use crate::queue::{RedriveAsk, Which};

#[tokio::test]
async fn a_redrive_of_which_the_disk_says_nothing_is_in_doubt_and_its_repeat_tells() {
    let bench = Bench::start().await;
    let queue = &bench.queue;
    let member = || Submission { session: Some("s".into()), ..submission() };
    let (first, second) = (queue.enqueue(member()).await.unwrap().id, queue.enqueue(member()).await.unwrap().id);
    for id in [first, second] {
        queue.cancel(None, id, "enough".into()).await.unwrap();
    }
    let ask = || RedriveAsk {
        tenant: None,
        redrive: Uuid::from_u128(7),
        repeats: true,
        which: Which::Named(vec![first, second]),
        statuses: vec![Status::Cancelled],
        dry_run: false,
        deadline: None,
    };
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
    let refused = queue.redrive(RedriveAsk { redrive: Uuid::from_u128(8), ..ask() }).await.unwrap_err();
    assert!(refused.code() == Code::Unavailable && !refused.may_have_happened(), "a process that drains: {refused:?}");
}
