//! A disk that stores a batch and answers its commit with an error: memory and store stay of one mind.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_rpc::lease::LeaseKey;
use holdfast_rpc::service::Stop;
use holdfast_storage::Journal;
use rusqlite::Transaction;
use tokio::sync::mpsc;

use super::outage::{ask, submission};
use super::settle::Ending;
use super::{Enqueued, Queue, Submission};
use crate::config::Config;
use crate::domain::invocation::{Payload, Status, Usage};
use crate::reaper;
use crate::store::sqlite::{QueueJournal, Sqlite};
use crate::store::{Answer, Command};

/// Commits, and says that it did not.
struct Doubtful(QueueJournal);

impl Journal for Doubtful {
    type Command = Command;
    type Answer = Answer;

    fn apply(&mut self, tx: &Transaction<'_>, commands: &[Command]) -> rusqlite::Result<Vec<Answer>> {
        self.0.apply(tx, commands)
    }

    fn commit(&mut self, tx: Transaction<'_>) -> rusqlite::Result<()> {
        tx.commit()?;
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err(rusqlite::Error::SqliteFailure(code, None))
    }
}

/// A queue whose every commit is in doubt.
async fn start(directory: &Path) -> Queue {
    let (batches, committed) = mpsc::unbounded_channel();
    let store = Sqlite::open_with(Doubtful(QueueJournal), directory, Duration::ZERO, move |batch| {
        let _ = batches.send(batch);
    })
    .unwrap();
    let queue = Queue::start(Arc::new(store), committed, Config::default(), LeaseKey::new(b"k")).await.unwrap();
    tokio::spawn(reaper::run(queue.clone(), Stop::new()));
    queue
}

#[tokio::test]
async fn a_commit_in_doubt_loses_no_submission_no_lease_and_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let queue = start(directory.path()).await;
    let keyed = || Submission { idempotency_key: Some("k".into()), ..submission() };
    let first = queue.enqueue(keyed()).await.unwrap();
    assert!(first.created);
    assert_eq!(queue.enqueue(keyed()).await.unwrap(), Enqueued { created: false, ..first });

    let grant = queue.lease(ask()).await.unwrap().remove(0);
    assert_eq!(grant.record.accepted.id, first.id, "what is acknowledged is leased");
    let renewal = queue.heartbeat(None, vec![grant.token.to_string()]).await.unwrap().remove(0);
    assert!(renewal.lease.is_ok(), "memory has the lease that the store has");

    let stream = Arc::new(super::CallStream::new(1 << 20, 10));
    stream.open(1).unwrap();
    queue.wait(&stream, 1, "t".into(), first.id);
    let done = Ending::Complete { result: Payload::default(), usage: Usage::default() };
    assert_eq!(queue.settle(None, &grant.token, done).await.unwrap().status, Status::Succeeded);
    let told = std::future::poll_fn(|cx| stream.outbox.poll(cx, 1, |_, _| false)).await.unwrap().unwrap();
    assert!(matches!(told.items[0].what, super::CallWhat::Ended(_)), "who waits is told");
    let core = queue.shared.core.lock();
    assert_eq!((core.depths.waiting(), core.leases.count()), ((0, 0), 0));
}
