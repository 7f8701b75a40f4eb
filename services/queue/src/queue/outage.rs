//! The store goes away and comes back: callers are told, nothing is lost, and nobody has to help.

mod postgres;
mod reads;
mod redrives;

use std::sync::Arc;
use std::time::Duration;

use holdfast_resilience::breaker::Settings;
use holdfast_rpc::Error;
use holdfast_rpc::lease::LeaseKey;
use holdfast_rpc::service::Stop;
use holdfast_storage::Journal;
use parking_lot::Mutex;
use rusqlite::Transaction;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::Code;
use uuid::Uuid;

use super::settle::Ending;
use super::tag::Tag;
use super::{LeaseAsk, Queue, Submission};
use crate::config::Config;
use crate::domain::invocation::{Payload, Status, Usage};
use crate::reaper;
use crate::store::guarded::{self, Guard};
use crate::store::sqlite::{QueueJournal, Sqlite};
use crate::store::{Answer, Batch, Command, Filter, Store};

/// How long the breaker stays open.
const OPEN: Duration = Duration::from_millis(200);
/// How long the disk may be silent.
const PATIENCE: Duration = Duration::from_millis(300);

/// What the disk does.
#[derive(Clone)]
enum Disk {
    Well,
    /// It has no page left to give.
    Full,
    /// It takes no writes.
    ReadOnly,
    /// It says nothing until the test lets go.
    Silent(Arc<Mutex<std::sync::mpsc::Receiver<()>>>),
}

/// A journal on a disk whose troubles are SQLite's own.
struct Troubled {
    inner: QueueJournal,
    disk: Arc<Mutex<Disk>>,
}

impl Journal for Troubled {
    type Command = Command;
    type Answer = Answer;

    fn apply(&mut self, tx: &Transaction<'_>, commands: &[Command]) -> rusqlite::Result<Vec<Answer>> {
        let disk = self.disk.lock().clone();
        match disk {
            Disk::Silent(hold) => drop(hold.lock().recv()),
            Disk::Full => {
                tx.pragma_update(None, "max_page_count", 1)?;
                tx.execute_batch("CREATE TABLE outage AS SELECT zeroblob(1000000)")?;
            }
            Disk::ReadOnly => tx.pragma_update(None, "query_only", true)?,
            Disk::Well => {
                tx.pragma_update(None, "max_page_count", 1_000_000)?;
                tx.pragma_update(None, "query_only", false)?;
            }
        }
        self.inner.apply(tx, commands)
    }
}

/// A queue, and its disk.
struct Bench {
    queue: Queue,
    disk: Arc<Mutex<Disk>>,
    _directory: TempDir,
}

impl Bench {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(Mutex::new(Disk::Well));
        let (guard, batches, committed) = guard(OPEN);
        let deliver = guard.deliver(move |batch| {
            let _ = batches.send(batch);
        });
        let journal = Troubled { inner: QueueJournal, disk: Arc::clone(&disk) };
        let store = guard.over(Sqlite::open_with(journal, directory.path(), Duration::ZERO, deliver).unwrap());
        let queue = serve(Arc::new(store), committed).await;
        Self { queue, disk, _directory: directory }
    }

    fn set(&self, disk: Disk) {
        *self.disk.lock() = disk;
    }
}

type Batches = mpsc::UnboundedSender<Batch<Tag>>;
type Committed = mpsc::UnboundedReceiver<Batch<Tag>>;

/// A guard, where its batches go, and what the queue follows.
fn guard(open: Duration) -> (Arc<Guard<Tag>>, Batches, Committed) {
    let settings = Settings { open, open_max: open, ..guarded::settings() };
    let (batches, committed) = mpsc::unbounded_channel();
    (Guard::new(&settings, PATIENCE), batches, committed)
}

/// A queue with all its duties.
async fn serve(store: Arc<dyn Store<Tag>>, committed: Committed) -> Queue {
    let queue = Queue::start(store, committed, Config::default(), LeaseKey::new(b"k")).await.unwrap();
    tokio::spawn(reaper::run(queue.clone(), Stop::new()));
    queue.together(&Stop::new());
    queue
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

fn done() -> Ending {
    Ending::Complete { result: Payload::default(), usage: Usage::default() }
}

/// Comes back when told, until it is taken.
async fn patiently<R>(call: impl AsyncFn() -> Result<R, Error>) -> R {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => tokio::time::sleep(error.retry_after().expect("every refusal says when")).await,
        }
    }
}

#[tokio::test]
async fn a_disk_in_trouble_refuses_serves_reads_and_heals_alone() {
    for trouble in [Disk::Full, Disk::ReadOnly] {
        let bench = Bench::start().await;
        let queue = &bench.queue;
        let keyed = || Submission { idempotency_key: Some("k".into()), ..submission() };
        let there = queue.enqueue(keyed()).await.unwrap().id;
        bench.set(trouble.clone());
        // Refused by the disk at first, and then by the breaker: callers see no difference.
        for _ in 0..20 {
            let refused = queue.enqueue(submission()).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable);
            assert!(refused.to_string().contains("disk"), "{refused}");
            assert!(refused.retry_after().is_some() && !refused.may_have_happened());
            let first = queue.enqueue(keyed()).await.unwrap();
            assert_eq!((first.id, first.created), (there, false), "a repeat is told of its first");
            let other = Payload { data: "other".into(), ..Payload::default() };
            let reused = queue.enqueue(Submission { payload: other, ..keyed() }).await.unwrap_err();
            assert_eq!(reused.code(), Code::AlreadyExists);
            let fresh = Submission { idempotency_key: Some("fresh".into()), ..submission() };
            let refused = queue.enqueue(fresh).await.unwrap_err();
            assert!(refused.to_string().contains("disk") && !refused.may_have_happened(), "{refused}");
            assert_eq!(queue.get(None, there).await.unwrap().standing.status(), Status::Queued, "reads are served");
            let page = queue.list(Filter { limit: 1, oldest_first: true, ..Filter::default() }).await.unwrap();
            assert_eq!((page.records[0].accepted.id, page.next), (there, None), "lists are");
            let mut events = queue.watch(None, there, 0, Stop::new()).await.unwrap();
            assert_eq!(events.recv().await.unwrap().unwrap().offset, 1, "and so is what happened");
        }

        // A worker that waits meanwhile gets the work once the disk is well.
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.lease(ask()).await }
        });
        while queue.shared.core.lock().paused_until.is_none() {
            tokio::task::yield_now().await;
        }
        bench.set(Disk::Well);
        let grant = worker.await.unwrap().unwrap().remove(0);
        assert_eq!(grant.record.accepted.id, there);

        bench.set(trouble);
        assert_eq!(queue.settle(None, &grant.token, done()).await.unwrap_err().code(), Code::Unavailable);
        bench.set(Disk::Well);
        patiently(async || queue.settle(None, &grant.token, done()).await).await;
        patiently(async || queue.enqueue(submission()).await).await;
        assert_eq!(queue.shared.core.lock().depths.waiting(), (1, 0), "only what was taken counts");
    }
}

#[tokio::test]
async fn a_silent_disk_keeps_nobody_waiting_and_loses_nothing_that_it_did() {
    let bench = Bench::start().await;
    let queue = &bench.queue;
    let leased = queue.enqueue(submission()).await.unwrap().id;
    let grant = queue.lease(ask()).await.unwrap().remove(0);
    let waiting = Submission { agent: "b".into(), ..submission() };
    let (let_go, hold) = std::sync::mpsc::channel();
    bench.set(Disk::Silent(Arc::new(Mutex::new(hold))));

    let (accepted, completed) = tokio::join!(queue.enqueue(waiting), queue.settle(None, &grant.token, done()));
    for refused in [accepted.unwrap_err(), completed.unwrap_err()] {
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(refused.retry_after().is_some() && refused.may_have_happened(), "{refused:?}");
    }
    while !is_open(queue).await {}
    assert_eq!(queue.get(None, leased).await.unwrap().standing.status(), Status::Leased, "reads are served");

    // Both happened after all, and memory knows it: a repeat of the end gets its first answer, and the work is leased.
    bench.set(Disk::Well);
    drop(let_go);
    let status = patiently(async || queue.settle(None, &grant.token, done()).await).await.status;
    assert_eq!(status, Status::Succeeded);
    let late = queue.lease(LeaseAsk { agents: vec!["b".into()], ..ask() }).await.unwrap();
    assert!(!late.is_empty(), "what was accepted late is leased");
}

/// Asks once more, and says whether the answer came from the breaker: then nothing can have happened.
async fn is_open(queue: &Queue) -> bool {
    let refused = queue.enqueue(submission()).await.unwrap_err();
    !refused.may_have_happened()
}

#[tokio::test]
async fn a_deadline_that_could_not_be_recorded_comes_up_again() {
    let bench = Bench::start().await;
    let queue = &bench.queue;
    let deadline = Some(holdfast_rpc::time::now_micros() + 300_000);
    let id = queue.enqueue(Submission { deadline, ..submission() }).await.unwrap().id;
    bench.set(Disk::Full);
    let mut events = queue.watch(None, id, 2, Stop::new()).await.unwrap();
    // The deadline comes up, cannot be recorded, and is put off.
    let deadline = due(queue, id);
    while queue.shared.core.lock().schedule.next_due() <= Some(deadline) {
        tokio::task::yield_now().await;
    }
    bench.set(Disk::Well);
    events.recv().await.expect("it ends").unwrap();
    assert_eq!(queue.get(None, id).await.unwrap().standing.status(), Status::Failed);
}

/// When an invocation's deadline is.
fn due(queue: &Queue, id: Uuid) -> crate::domain::time::Moment {
    let core = queue.shared.core.lock();
    core.schedule.get(id).and_then(|entry| entry.deadline).expect("it has a deadline")
}
