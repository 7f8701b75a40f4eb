//! The store goes away and comes back: callers are told, nothing is lost, and nobody has to help.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_rpc::lease::LeaseKey;
use holdfast_rpc::service::Stop;
use holdfast_storage::{Class, Failure};
use tokio::sync::mpsc;
use tonic::Code;
use uuid::Uuid;

use super::settle::Ending;
use super::tag::Tag;
use super::{LeaseAsk, Queue, Submission};
use crate::config::Config;
use crate::domain::invocation::{Payload, Status, Usage};
use crate::domain::record::Record;
use crate::reaper;
use crate::store::sqlite::Sqlite;
use crate::store::{Batch, Command, Filter, History, Raise, Store, Waiting, Window};

/// A store whose disk can be full.
struct Flaky {
    inner: Sqlite<Tag>,
    full: Arc<AtomicBool>,
    batches: mpsc::UnboundedSender<Batch<Tag>>,
}

impl Store<Tag> for Flaky {
    fn submit(&self, commands: Vec<(Tag, Command)>) -> Result<(), (Vec<(Tag, Command)>, Failure)> {
        if !self.full.load(Ordering::SeqCst) {
            return self.inner.submit(commands);
        }
        let failure = Failure::new(Class::Full, "no space left");
        let answers = commands.into_iter().map(|(tag, _)| (tag, Err(failure.clone()))).collect();
        self.batches.send(Batch { answers, took: Duration::ZERO }).expect("the queue follows");
        Ok(())
    }

    fn get(&self, id: Uuid, tenant: Option<String>, payload: bool) -> BoxFuture<'_, Result<Option<Record>, Failure>> {
        self.inner.get(id, tenant, payload)
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Record>, Failure>> {
        self.inner.list(filter)
    }

    fn history(
        &self,
        id: Uuid,
        tenant: Option<String>,
        from: u64,
        window: Window,
    ) -> BoxFuture<'_, Result<Option<History>, Failure>> {
        self.inner.history(id, tenant, from, window)
    }

    fn by_key(
        &self,
        tenant: Arc<str>,
        agent: Arc<str>,
        key: String,
        digest: [u8; 32],
    ) -> BoxFuture<'_, Result<Option<(Uuid, bool)>, Failure>> {
        self.inner.by_key(tenant, agent, key, digest)
    }

    fn waiting(&self) -> BoxFuture<'_, Result<Vec<Waiting>, Failure>> {
        self.inner.waiting()
    }

    fn raises(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Raise>, Failure>> {
        self.inner.raises(limit)
    }
}

/// A queue, and the switch of its disk.
async fn start(directory: &Path) -> (Queue, Arc<AtomicBool>) {
    let (batches, committed) = mpsc::unbounded_channel();
    let deliver = batches.clone();
    let inner = Sqlite::open(directory, move |batch| {
        let _ = deliver.send(batch);
    })
    .unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let store = Flaky { inner, full: Arc::clone(&full), batches };
    let queue = Queue::start(Arc::new(store), committed, Config::default(), LeaseKey::new(b"k")).await.unwrap();
    tokio::spawn(reaper::run(queue.clone(), Stop::new()));
    (queue, full)
}

pub(super) fn submission() -> Submission {
    Submission {
        tenant: "t".into(),
        agent: "a".into(),
        payload: Payload::default(),
        session: None,
        idempotency_key: None,
        priority: 0,
        not_before: None,
        deadline: None,
        retry: Config::default().retry(),
        labels: Default::default(),
        parent: None,
        traceparent: String::new(),
    }
}

pub(super) fn ask() -> LeaseAsk {
    LeaseAsk {
        worker: "w".into(),
        agents: vec!["a".into()],
        tenant: None,
        leases_max: 1,
        wait: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn a_full_disk_refuses_serves_reads_and_heals_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, full) = start(directory.path()).await;
    let there = queue.enqueue(submission()).await.unwrap().id;
    full.store(true, Ordering::SeqCst);
    let refused = queue.enqueue(submission()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.retry_after().is_some() && !refused.may_have_happened());
    assert_eq!(queue.get(None, there).await.unwrap().standing.status(), Status::Queued, "reads are served");

    // A worker that waits meanwhile gets the work once the disk is well.
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { queue.lease(ask()).await }
    });
    while queue.shared.core.lock().paused_until.is_none() {
        tokio::task::yield_now().await;
    }
    full.store(false, Ordering::SeqCst);
    let grant = worker.await.unwrap().unwrap().remove(0);
    assert_eq!(grant.record.accepted.id, there);

    full.store(true, Ordering::SeqCst);
    let done = || Ending::Complete { result: Payload::default(), usage: Usage::default() };
    assert_eq!(queue.settle(None, &grant.token, done()).await.unwrap_err().code(), Code::Unavailable);
    full.store(false, Ordering::SeqCst);
    queue.settle(None, &grant.token, done()).await.expect("the worker tries again");
    assert_eq!(queue.shared.core.lock().depths.waiting(), (0, 0));
}

#[tokio::test]
async fn a_deadline_that_could_not_be_recorded_comes_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, full) = start(directory.path()).await;
    let deadline = Some(holdfast_rpc::time::now_micros() + 300_000);
    let id = queue.enqueue(Submission { deadline, ..submission() }).await.unwrap().id;
    full.store(true, Ordering::SeqCst);
    let mut events = queue.watch(None, id, 2, Stop::new()).await.unwrap();
    // The deadline comes up, cannot be recorded, and is put off.
    let deadline = due(&queue, id);
    while queue.shared.core.lock().schedule.next_due() <= Some(deadline) {
        tokio::task::yield_now().await;
    }
    full.store(false, Ordering::SeqCst);
    events.recv().await.expect("it ends").unwrap();
    assert_eq!(queue.get(None, id).await.unwrap().standing.status(), Status::Failed);
}

/// When an invocation's deadline is.
fn due(queue: &Queue, id: Uuid) -> crate::domain::time::Moment {
    let core = queue.shared.core.lock();
    core.schedule.get(id).and_then(|entry| entry.deadline).expect("it has a deadline")
}
