//! Leases while the store is asked to free them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_config::Span;
use holdfast_rpc::lease::LeaseKey;
use holdfast_rpc::service::Stop;
use holdfast_storage::Journal;
use rusqlite::Transaction;
use tokio::sync::mpsc;

use super::outage::{ask, submission};
use super::{Grant, Queue};
use crate::config::Config;
use crate::domain::transition::LEASE_LOST;
use crate::reaper;
use crate::store::sqlite::{QueueJournal, Sqlite};
use crate::store::{Answer, Change, Command};

/// Holds back whatever frees a lease, until it hears whether the disk does it.
struct HeldBack {
    inner: QueueJournal,
    freeing: mpsc::UnboundedSender<()>,
    disk_is_well: std::sync::mpsc::Receiver<bool>,
}

impl Journal for HeldBack {
    type Command = Command;
    type Answer = Answer;

    fn apply(&mut self, tx: &Transaction<'_>, commands: &[Command]) -> rusqlite::Result<Vec<Answer>> {
        let frees = |command: &Command| matches!(command, Command::Settle(settle) if is_loss(&settle.change));
        if commands.iter().any(frees) {
            let _ = self.freeing.send(());
            if !self.disk_is_well.recv().unwrap_or(true) {
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                    None,
                ));
            }
        }
        self.inner.apply(tx, commands)
    }
}

fn is_loss(change: &Change) -> bool {
    matches!(change, Change::Lose { .. })
}

type Freed = (Queue, mpsc::UnboundedReceiver<()>, std::sync::mpsc::Sender<bool>);

/// A queue with short leases; what tells of each freeing, and what lets it go on.
async fn start(directory: &Path) -> Freed {
    let (batches, committed) = mpsc::unbounded_channel();
    let (freeing, freed) = mpsc::unbounded_channel();
    let (go, disk_is_well) = std::sync::mpsc::channel();
    let journal = HeldBack { inner: QueueJournal, freeing, disk_is_well };
    let store = Sqlite::open_with(journal, directory, Duration::ZERO, move |batch| {
        let _ = batches.send(batch);
    })
    .unwrap();
    let ttl = Span(Duration::from_millis(100));
    let config = Config { lease_ttl: ttl, stream_grace: ttl, ..Config::default() };
    let queue = Queue::start(Arc::new(store), committed, config, LeaseKey::new(b"k")).await.unwrap();
    tokio::spawn(reaper::run(queue.clone(), Stop::new()));
    (queue, freed, go)
}

async fn renew(queue: &Queue, grant: &Grant) -> Result<Duration, &'static str> {
    queue.heartbeat(None, vec![grant.token.to_string()]).await.unwrap().remove(0).lease
}

#[tokio::test]
async fn a_lease_that_is_being_freed_is_lost_to_its_holder_unless_the_store_fails() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, mut freeing, go) = start(directory.path()).await;
    let id = queue.enqueue(submission()).await.unwrap().id;
    let first = queue.lease(ask()).await.unwrap().remove(0);
    freeing.recv().await.unwrap();
    assert_eq!(renew(&queue, &first).await, Err(LEASE_LOST), "the store is about to free it");

    // The disk is full: nothing was freed, so the lease goes on, and comes up again.
    go.send(false).unwrap();
    while renew(&queue, &first).await.is_err() {
        tokio::task::yield_now().await;
    }
    freeing.recv().await.unwrap();
    assert_eq!(renew(&queue, &first).await, Err(LEASE_LOST));
    go.send(true).unwrap();
    let second = queue.lease(ask()).await.unwrap().remove(0);
    assert_eq!(second.record.accepted.id, id);
    assert!(second.fence > first.fence);
    // Whatever else is freed goes through.
    drop(go);
}
