//! Memory follows the store, commit by commit.

use std::sync::Weak;

use tokio::sync::mpsc::UnboundedReceiver;

use super::Shared;
use super::tag::Tag;
use crate::metrics;
use crate::store::Batch;

/// Answers of one commit that are taken in before what follows from them goes out. All at once, whoever comes after the queue
/// would stand still meanwhile, and the queue while they work. On a shared store a commit takes longer than that: there, what
/// comes back sooner makes smaller commits, which costs more than it gains.
const PIECE: usize = 64;

/// Takes committed batches in until the queue and its store are gone.
pub(super) async fn follow(queue: Weak<Shared>, mut committed: UnboundedReceiver<Batch<Tag>>) {
    while let Some(Batch { answers, took }) = committed.recv().await {
        metrics::committed(answers.len(), took);
        // A failure says something of all of it.
        let is_well = answers.iter().all(|(_, answer)| answer.is_ok());
        let mut answers = answers.into_iter();
        loop {
            let Some(shared) = queue.upgrade() else { return };
            let piece = if is_well && shared.store.shared().is_none() { PIECE } else { answers.len() };
            shared.take_in(answers.by_ref().take(piece).collect());
            drop(shared);
            if answers.len() == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use holdfast_rpc::lease::LeaseKey;

    use super::super::{CallStream, Queue, outage::submission};
    use super::PIECE;
    use crate::config::Config;

    #[tokio::test]
    async fn the_first_answers_of_a_large_commit_go_out_before_the_last_are_taken_in() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let queue = Queue::open(directory.path(), Config::default(), LeaseKey::new(b"k")).await.expect("it opens");
        let calls = 3 * PIECE as u64;
        let stream = Arc::new(CallStream::new(usize::MAX, calls as usize));
        (0..calls).for_each(|call| stream.open(call).expect("there is room"));
        queue.enqueue_calls(&stream, (0..calls).map(|call| (call, submission(), false)).collect());
        let mut heard = Vec::new();
        while heard.iter().sum::<usize>() < calls as usize {
            let run = poll_fn(|cx| stream.outbox.poll(cx, usize::MAX, |_, _| true)).await;
            heard.push(run.expect("it goes on").expect("it is well").items.len());
        }
        assert!(heard.len() > 1, "{heard:?}");
    }
}
